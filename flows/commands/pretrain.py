"""Verb `lucidflux pretrain`: the frozen parts of the miniature from photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.session import Options, finish, running


def pretrain(
    context: typer.Context,
    photos: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders of clean photos.")],
    out: Annotated[Path, typer.Option(help="Bundle directory; also holds what earlier stages made.")],
    exclude: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Beginning of file names to leave out.")] = None,
    start: Annotated[Path | None, typer.Option(help="Bundle whose prior, encoder and backbone are trained further.")] = None,
    stage: Annotated[list[str] | None, typer.Option(metavar="STAGE", help="Do this one [default: all].")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of each stage [default: its own number].")] = None,
) -> None:
    """Train the miniature's frozen parts from photos; the same command resumes a killed run."""
    options: Options = context.obj
    with running(options) as workspace:
        import logging

        from components.train.pretrain import Plan
        from components.train.pretrain import pretrain as run

        logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
        logging.getLogger("components.train").setLevel(logging.INFO)
        work = workspace.home / "pretrain"
        made = run(Plan(photos, out, work, exclude=exclude or [], start=start, stages=stage or [], steps=steps))
    finish(options, made, f"{made.text()}\nNext: lucidflux --set base={made.bundle} quickstart")
