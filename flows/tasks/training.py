"""Tasks from pairs to a judged adapter."""

from __future__ import annotations

from typing import Any

from prefect import task

from components.records import Curation, EvalReport, PairSet, TrainRun, content_hash
from flows.operations.slots import gpu_slot
from flows.progress import progress
from flows.tasks.caching import KEEP, RETRY, key
from flows.workspace import Workspace


@task(
    name="train-adapter",
    cache_key_fn=key(
        "train",
        lambda p: p["pairs"].manifest.sha256,
        lambda p: p["workspace"].profile.train,
        lambda p: p["workspace"].base_hashes,
        lambda p: p["workspace"].profile.sampler if p["workspace"].profile.train.judged else None,
    ),
    **KEEP,  # resumed by its checkpoints, never retried
)
def train_adapter(workspace: Workspace, pairs: PairSet) -> TrainRun:
    """Pairs -> adapter and MLflow run."""
    from components.backends import catalog
    from components.train.job import Validation
    from components.train.run import train
    from flows.tracked import tracked_training

    profile, curated = workspace.profile, pairs.curation.manifest
    validation = Validation(held_out=curated, sampler=profile.sampler, weights=str(workspace.weights_folder))
    with gpu_slot(), tracked_training(workspace, pairs) as (run_id, on_event):
        outcome = train(
            workspace.store,
            pairs.manifest,
            profile.train,
            base=profile.base_folder,
            work=workspace.home / "work",
            validation=validation,
            on_event=on_event,
            progress=progress.get(),
        )
    made = TrainRun(
        run_id=run_id,
        checkpoint=outcome.checkpoint,
        checkpoint_sha256=outcome.sha256,
        step=outcome.step,
        pairs=pairs,
        settings=content_hash(profile),
        base=outcome.base,
        loss_first=outcome.loss_first,
        loss_last=outcome.loss_last,
        notes=outcome.notes,
    )
    return catalog.save(workspace.store, made)


def _champion(parameters: dict[str, Any]) -> str:
    """Whom a run is compared with."""
    from flows.lineage import champion_report

    report = champion_report(parameters["workspace"], parameters["run"])
    return report.checkpoint_sha256 if report else ""


@task(
    name="evaluate-adapter",
    cache_key_fn=key(
        "evaluate",
        lambda p: p["run"].checkpoint_sha256,
        lambda p: (p["on"] or p["run"].pairs.curation).manifest.sha256,
        lambda p: p["workspace"].profile.evaluate,
        lambda p: p["workspace"].profile.sampler,
        _champion,
    ),
    **KEEP,
    **RETRY,
)
def evaluate_adapter(workspace: Workspace, run: TrainRun, on: Curation | None = None) -> EvalReport:
    """Adapter -> scores, page and sheet, also as artifacts of its MLflow run.

    `on` is whose held-out pictures are taken; None takes those of the run's own curation.
    """
    from components.backends import catalog
    from components.evaluate.run import evaluate
    from flows.lineage import champion_report

    profile, store = workspace.profile, workspace.store
    report = evaluate(
        run,
        profile.evaluate,
        on=on or run.pairs.curation,
        store=store,
        base=profile.base_folder,
        sampler=profile.sampler,
        work=workspace.home / "work",
        champion=champion_report(workspace, run),
        curve=workspace.tracker.history(run.run_id, "loss"),
        progress=progress.get(),
    )
    for page in (report.html, report.sheet):
        workspace.tracker.log_artifact(run.run_id, store.fetch(page), "evaluation")
    means = {f"{cell.benchmark}.{cell.method}.{cell.metric}": cell.mean for cell in report.summaries}
    workspace.tracker.log_metrics(run.run_id, run.step, means)
    return catalog.save(store, report)
