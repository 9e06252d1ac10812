"""Find the records behind what people name on the command line."""

from __future__ import annotations

from components.backends.catalog import find
from components.errors import ManifestError, RegistryError
from components.records import EvalReport, TrainRun
from flows.workspace import Workspace


def find_run(workspace: Workspace, model: str) -> TrainRun:
    """Take `run:ID`, a bare run id, `NAME@alias` or `NAME/version`.

    Raises:
        RegistryError: the name is unknown, or its run was not trained in this home.
    """
    run_id = model.removeprefix("run:")
    if "@" in model or "/" in model:
        run_id = workspace.tracker.resolve(model).run_id
    try:
        return find(workspace.store, TrainRun, run_id)
    except ManifestError as error:
        raise RegistryError(f"Expected run:ID, NAME@alias or NAME/version, got '{model}'. {error}") from error


def find_report(workspace: Workspace, run: TrainRun) -> EvalReport:
    """Take the evaluation of a run's checkpoint.

    Raises:
        RegistryError: it was not evaluated.
    """
    try:
        return find(workspace.store, EvalReport, run.checkpoint_sha256)
    except ManifestError as error:
        sentence = f"Run {run.run_id} was not evaluated. Do it first: lucidflux evaluate run:{run.run_id}"
        raise RegistryError(sentence) from error
