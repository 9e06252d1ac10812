"""Verbs `lucidflux dataset …` and `lucidflux why`: what versions there are, what changed, and why a picture is in or out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.session import Options, finish, running

commands = typer.Typer(help="Dataset versions: list, show, compare, pull.", no_args_is_help=True)


@commands.command("list")
def list_versions(context: typer.Context) -> None:
    """Show every version and curation of the home, the newest last."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.dataset import listing

        made = listing(workspace)
    finish(options, made, made.text())


@commands.command()
def show(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="Beginning of any of its hashes, or latest.")],
) -> None:
    """Show everything about one: rows by verdict, sources, checks, settings, how to pull it."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.dataset import show as run

        made = run(workspace, version)
    finish(options, made, made.text())


@commands.command()
def diff(
    context: typer.Context,
    old: Annotated[str, typer.Argument(help="Beginning of a hash.")],
    new: Annotated[str, typer.Argument(help="Beginning of a hash, or latest.")],
    examples: Annotated[int, typer.Option(min=0, help="Rows to show for each kind of change.")] = 3,
) -> None:
    """Show what changed: rows, verdicts, sides of the split, scores, settings."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.difference import diff as run

        made = run(workspace, old, new, examples=examples)
    finish(options, made, made.text())


@commands.command()
def pull(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="Beginning of a hash, or a JSON file with the record of a version.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the files [default: this home, where the next stage finds them].")
    ] = None,
) -> None:
    """Bring a version back from the DVC remote and prove every file; a re-run writes what is missing."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.shipment import pull as run

        made = run(workspace, version, out)
    finish(options, made, made.text())


def why(
    context: typer.Context,
    image: Annotated[str, typer.Argument(metavar="IMAGE_OR_ID", help="Image file, id, origin, its end, or address.")],
) -> None:
    """Say why a picture is in or out: where it came from, what was measured, which rule decided, what was made from it."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.why import why as run

        made = run(workspace, image)
    finish(options, made, made.text())
