"""Verb `lucidflux evaluate`: a model on held-out pictures of its dataset, or on a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.session import Options, finish, running


def evaluate(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="run:ID, NAME@alias, NAME/version; on a benchmark also file:PATH.")] = "",
    benchmark: Annotated[
        str,
        typer.Option(metavar="NAME|DIR", help="A benchmark of the paper (NAME or NAME=DIR), or your own folder of LQ and HQ."),
    ] = "",
    outputs: Annotated[
        Path | None, typer.Option(help="Pictures that something else made of the benchmark, named as its LQ.")
    ] = None,
    label: Annotated[str, typer.Option(help="What to call them [default: the folder's name].")] = "",
    steps: Annotated[list[int] | None, typer.Option(min=1, help="Measure this number of sampling steps too.")] = None,
    against: Annotated[str, typer.Option(help="Compare with what was measured under this name [default: the champion].")] = "",
) -> None:
    """Restore photos of scenes that were never trained on, or a benchmark, and score them beside the input."""
    options: Options = context.obj
    if benchmark or outputs:
        _on_benchmark(options, model, benchmark, outputs, label=label, steps=steps or [], against=against)
        return
    with running(options) as workspace:
        from components.errors import SettingsError
        from flows.evaluate import evaluate as run
        from flows.lineage import find_run

        if not model or model.startswith("file:"):
            raise SettingsError("Expected a model that was trained here, such as run:ID; a file needs --benchmark NAME|DIR.")
        trained = find_run(workspace, model)
        made = run(trained, **options.arguments)
    lines = [f"{cell.benchmark} {cell.method} {cell.metric} {cell.mean:.3f} (n={cell.n})" for cell in made.summaries]
    text = "\n".join([*lines, f"Report: {workspace.store.root}/{made.html}", f"Next: lucidflux register {trained.run_id}"])
    finish(options, made, text)


def _on_benchmark(
    options: Options, model: str, benchmark: str, outputs: Path | None, *, label: str, steps: list[int], against: str
) -> None:
    with running(options) as workspace:
        from components.errors import SettingsError
        from flows.measure import evaluate_benchmark as run

        if not benchmark:
            raise SettingsError("Expected --benchmark NAME|DIR beside --outputs: the pictures have to be of something.")
        made = run(benchmark, model, outputs=str(outputs or ""), label=label, steps=steps, against=against, **options.arguments)
    finish(options, made, f"{made.text()}\nReport: {workspace.store.root}/{made.html}")
