"""Flow `register`: an evaluated run -> a model version with alias `challenger`."""

from __future__ import annotations

from prefect import flow

from components.records import EvalReport, ModelVersion, TrainRun
from flows import tasks
from flows.workspace import open_workspace


@flow(name="register")
def register(
    run: TrainRun, report: EvalReport, profile: str = "tiny", overrides: list[str] | None = None, home: str = ""
) -> ModelVersion:
    """Package the adapter with its lineage.

    Args:
        run: what `train` gave.
        report: what `evaluate` gave for it.
        profile: name of a profile.
        overrides: `key=value` settings.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
    """
    workspace = open_workspace(profile, overrides, home)
    return tasks.run(tasks.register_model, workspace, run, report)
