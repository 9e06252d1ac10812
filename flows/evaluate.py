"""Flow `evaluate`: a trained adapter -> scores, report page and contact sheet."""

from __future__ import annotations

from prefect import flow
from prefect.artifacts import create_table_artifact

from components.records import EvalReport, TrainRun
from flows import tasks
from flows.workspace import open_workspace


@flow(name="evaluate")
def evaluate(run: TrainRun, profile: str = "tiny", overrides: list[str] | None = None, home: str = "") -> EvalReport:
    """Restore the held-out pictures and score them beside LQ, a filter and the LRP.

    Args:
        run: what `train` gave.
        profile: name of a profile.
        overrides: `key=value` settings.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
    """
    workspace = open_workspace(profile, overrides, home)
    report = tasks.run(tasks.evaluate_adapter, workspace, run)
    table = [cell.model_dump(mode="json") for cell in report.summaries]
    create_table_artifact(table, key="metrics", description=f"Held-out scores of run {run.run_id}")
    return report
