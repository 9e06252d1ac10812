"""Verbs `lucidflux benchmark …`: pictures that no curated dataset may share content with."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.session import Options, finish, look_first, running

commands = typer.Typer(help="Benchmarks that datasets are kept clear of: add, list.", no_args_is_help=True)


@commands.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the benchmark; verdicts cite it.")],
    source: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="As ingest takes them.")],
    *,
    replace: Annotated[bool, typer.Option("--replace", help="Put other pictures under a name that is taken.")] = False,
) -> None:
    """Register pictures; from the next curation on, what shares content with them is a leak."""
    options: Options = context.obj
    with running(options) as workspace:
        look_first(workspace, source)
        from flows.benchmark import register_benchmark as run

        made = run(name, source, replace=replace, **options.arguments)
    finish(options, made, made.text())


@commands.command("list")
def list_benchmarks(context: typer.Context) -> None:
    """Show every registered benchmark."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.benchmark import listing

        made = listing(workspace)
    finish(options, made, made.text())
