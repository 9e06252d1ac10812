"""Photos through every stage and back out as restored photos, with a summary; not a flow of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.backends.catalog import find
from components.backends.storage import LocalStorage
from components.backends.versioning import read_pin
from components.errors import GateError
from components.records import DatasetVersion, EvalReport, ModelVersion, Record, Restoration, TrainRun
from flows.progress import reused
from flows.settings import REPOSITORY
from flows.workspace import Workspace

PHOTOS_RESTORED = 4


class Quickstart(Record):
    """Everything that the first ten minutes made."""

    dataset: DatasetVersion
    funnel: dict[str, int]
    run: TrainRun
    report: EvalReport
    model: ModelVersion
    restoration: Restoration
    page: str
    """Path of the report."""
    sheet: str
    """Path of the before/after picture."""
    reused: tuple[str, ...]
    """Stages whose result was there from an earlier run."""
    seconds: float


def quickstart(workspace: Workspace, source: str, arguments: Mapping[str, Any]) -> tuple[Quickstart, str]:
    """Run retrain, promote and restore; give the record and the text for a person.

    Args:
        workspace: profile and home.
        source: `packaged:` or a folder.
        arguments: profile, overrides and home as every flow takes them.
    """
    from flows.promote import promote
    from flows.restore_batch import restore_inputs
    from flows.retrain import retrain

    started = time.monotonic()
    found: list[str] = []
    reused.set(found)
    challenger = retrain([source], **arguments)
    store = workspace.store
    run = find(store, TrainRun, challenger.run_id)
    report = find(store, EvalReport, run.checkpoint_sha256)
    page = str(store.fetch(report.html))
    try:
        champion = promote(str(challenger.version), **arguments)
    except GateError as error:
        raise GateError(f"{error} What the model does is in the report: {page}") from error
    degraded = _degraded_photos(workspace, report)
    output = workspace.home / "quickstart" / "restored"
    restoration = restore_inputs([str(degraded)], str(output), **arguments)
    result = Quickstart(
        dataset=run.pairs.curation.dataset,
        funnel=run.pairs.curation.funnel,
        run=run,
        report=report,
        model=champion,
        restoration=restoration,
        page=page,
        sheet=str(store.fetch(report.sheet)),
        reused=tuple(found),
        seconds=time.monotonic() - started,
    )
    return result, summary(result, workspace, source)


def _degraded_photos(workspace: Workspace, report: EvalReport) -> Path:
    """Put some held-out LQ pictures where a user's own photos would be."""
    folder = workspace.home / "quickstart" / "degraded"
    target = LocalStorage(folder)
    for benchmark in report.benchmarks:
        pictures = sorted(key for key in workspace.store.list(f"{report.examples}/{benchmark}/") if key.endswith("/lq.png"))
        for key in pictures[:PHOTOS_RESTORED]:
            target.put(f"{benchmark}-{key.split('/')[-2][:12]}.png", workspace.store.read(key))
    return folder


def summary(result: Quickstart, workspace: Workspace, source: str) -> str:
    """The closing screen: only what the records hold."""
    lines = [
        "",
        "Done." if not result.reused else f"Done. Found from an earlier run, not done again: {', '.join(result.reused)}.",
    ]
    lines += ["", *_data(result, workspace, source), "", *_training(result), "", *_metrics(result.report), ""]
    lines += [
        f"Model       {result.model.name}/{result.model.version} is @{result.model.alias}",
        *(f"  gate      {gate.gate}: {gate.reason}" for gate in result.model.gates),
        f"Restored    {result.restoration.restored} photos, {result.restoration.reused} from before: {result.restoration.output}",
        f"Report      {result.page}",
        f"Before/after {result.sheet}",
        f"Took        {result.seconds:.0f} s",
        "",
        "Look further:",
        f"  MLflow    {mlflow_command(workspace)}",
        f"  Prefect   PREFECT_HOME={workspace.home / 'prefect'} .venv/bin/prefect server start",
    ]
    return "\n".join(lines)


def mlflow_command(workspace: Workspace) -> str:
    """How to open MLflow's page on this home."""
    return f".venv/bin/mlflow server --backend-store-uri {workspace.tracker.uri} --port 5000"


def _data(result: Quickstart, workspace: Workspace, source: str) -> list[str]:
    share = workspace.profile.curate.keep_share
    lines = [f"Dataset     version {result.dataset.dvc_md5} ({result.dataset.manifest.rows} pictures){_pinned(result, source)}"]
    lines += [f"  {count:5d}     {name}" for name, count in result.funnel.items()]
    lines.append(f"  keeps {share:.0%} of the ranked pictures (the paper keeps 20 %)" if share != 0.2 else "  keeps 20 %")
    for checked in result.run.pairs.checked:
        lines.append(
            f"Expected    {checked.suite}: {'passed' if checked.passed else 'FAILED'} ({checked.evaluated} expectations)"
        )
    return lines


def _pinned(result: Quickstart, source: str) -> str:
    pin = read_pin(REPOSITORY / "data.dvc")
    if source != "packaged:" or pin is None:
        return ""
    return ", as pinned in data.dvc" if pin == result.dataset.dvc_md5 else f", but data.dvc pins {pin}"


def _training(result: Quickstart) -> list[str]:
    run = result.run
    sentence = (
        f"Trained     {run.step} steps on {run.pairs.manifest.rows} pairs; loss {run.loss_first:.4f} -> {run.loss_last:.4f} "
        f"(means of the first and the last tenth); MLflow run {run.run_id}"
    )
    return [sentence]


def _metrics(report: EvalReport) -> list[str]:
    """One table per benchmark: methods as rows, metrics as columns."""
    lines = []
    for benchmark in report.benchmarks:
        cells = [cell for cell in report.summaries if cell.benchmark == benchmark]
        metrics = list(dict.fromkeys(cell.metric for cell in cells))
        arrows = {cell.metric: "↑" if cell.higher_is_better else "↓" for cell in cells}
        lines.append(f"{benchmark:12}" + "".join(f"{metric + arrows[metric]:>10}" for metric in metrics) + f"   n={cells[0].n}")
        for method in dict.fromkeys(cell.method for cell in cells):
            means = {cell.metric: cell.mean for cell in cells if cell.method == method}
            lines.append(f"  {method:10}" + "".join(f"{means[metric]:10.3f}" for metric in metrics))
    return lines
