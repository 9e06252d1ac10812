"""Verb `lucidflux audit-captions`: how often captions speak of degradation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.session import Options, finish, running


def audit_captions(
    context: typer.Context,
    captions: Annotated[Path, typer.Argument(help="JSON lines or CSV with image, caption and model; or text, one a line.")],
    endpoint: Annotated[
        str, typer.Option(help="OpenAI-compatible address of a model that judges, e.g. http://host:8000/v1.")
    ] = "",
    model: Annotated[str, typer.Option(help="Its name there.")] = "",
    out: Annotated[Path | None, typer.Option(help="JSON lines with what was found in each caption.")] = None,
) -> None:
    """Count captions that name defects of the image, by what wrote them (paper, table 5)."""
    options: Options = context.obj
    with running(options):
        from components.errors import SettingsError
        from components.evaluate.caption_model import ModelJudge
        from components.evaluate.captions import audit, by_lexicon, read
        from flows.progress import progress

        if bool(endpoint) != bool(model):
            raise SettingsError("Expected --endpoint and --model together, or neither for the lexicon.")
        judge = ModelJudge(endpoint, model) if endpoint else None
        name = judge.name if judge else "lexicon"
        made = audit(read(captions), judge or by_lexicon, name=name, progress=progress.get())
        if out is not None:
            out.write_text("".join(f"{one.model_dump_json()}\n" for one in made.findings), encoding="utf-8")
    finish(options, made, made.text())
