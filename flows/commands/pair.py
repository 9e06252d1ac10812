"""Verb `lucidflux pair`: make one training pair again and look at it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.session import Options, finish, running


def pair(
    context: typer.Context,
    show: Annotated[str, typer.Argument(metavar="PAIR_OR_IMAGE_ID", help="Beginning of the id of a pair or of its picture.")],
    out: Annotated[Path, typer.Option(help="Folder of the two pictures.")] = Path("pairs"),
    epoch: Annotated[int | None, typer.Option(min=0, help="Which of a picture's pairs.")] = None,
) -> None:
    """Make one pair again from its recipe, write HQ and LQ as PNG, and say what was done."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.pair import remake

        made = remake(workspace, show, out, epoch=epoch)
    finish(options, made, made.text())
