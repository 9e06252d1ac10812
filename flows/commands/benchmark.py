"""Verbs `lucidflux benchmark …`: make benchmarks, and keep curated datasets clear of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.session import Options, finish, look_first, running

commands = typer.Typer(help="Benchmarks: build, add (keep datasets clear of one), list.", no_args_is_help=True)


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


@commands.command()
def build(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="div2k-val or lsdir-val.")],
    source: Annotated[Path, typer.Argument(help="Your copy: DIV2K's archives unpacked side by side, or LSDIR's HR photos.")],
    out: Annotated[Path | None, typer.Option(help="Folder [default: where evaluate --benchmark NAME looks for it].")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Crops [default: the paper's 2124].")] = None,
    seed: Annotated[int, typer.Option(help="Of the crops.")] = 0,
) -> None:
    """Cut the paper's random 1024 px crops from your copy of DIV2K or LSDIR; the same command goes on after a kill."""
    from components.errors import lookup
    from components.evaluate.benchmarks.build import Plan
    from components.evaluate.benchmarks.table import BENCHMARKS, PATCHES

    options: Options = context.obj
    with running(options) as workspace:
        lookup(BENCHMARKS, name, kind="benchmark")
        from flows.measure import build as run

        made = run(workspace, Plan(name=name, count=count or PATCHES, seed=seed), source, out)
    place = name if out is None and made.pictures == PATCHES else made.folder
    next_ = f"Next: lucidflux benchmark add {name} {made.folder}/hq\n      lucidflux evaluate MODEL --benchmark {place}"
    finish(options, made, f"{made.text()}\n{next_}")
