"""Verb `lucidflux ablate`: what each part of the method adds."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.session import Options, finish, running


def ablate(
    context: typer.Context,
    manifest: Annotated[str, typer.Argument(help="Hash of the image manifest.")],
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each arm.")] = 3,
    arm: Annotated[list[str] | None, typer.Option(help="Only this arm; repeatable.")] = None,
) -> None:
    """Train the method with and without its parts and compare them on held-out pictures."""
    options: Options = context.obj
    with running(options) as workspace:
        from components.backends.catalog import find
        from components.records import DatasetVersion
        from flows.ablate import ablate as run

        dataset = find(workspace.store, DatasetVersion, manifest)
        made = run(dataset, list(range(seeds)), arm, **options.arguments)
    finish(options, made, f"{made.text()}\nPage: {workspace.store.root}/{made.html}")
