"""Train: pairs and frozen parts -> an adapter in the object store."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import ValidationError

from components.backends.storage import Storage, file_sha256
from components.errors import SettingsError, TrainError, WeightsError
from components.imaging import iqa
from components.records import Manifest, Progress, Record, content_hash, quiet
from components.train import judge
from components.train.events import Event, OnEvent, unheard
from components.train.job import ADAPTER_FILE, JOB_FILE, RESULT_FILE, Job, Result, Validation, locked, write_text
from components.train.launch import launch
from components.train.nodes import node_rank, require_consistent
from components.train.settings import TrainSettings
from models.files import hashes

OUTCOME_FILE = "outcome.json"


class TrainOutcome(Record):
    """What a run left."""

    checkpoint: str
    """Key of the adapter in the object store; averaged weights where the settings average."""
    sha256: str
    step: int
    loss_first: float
    """Mean loss of the first tenth of the updates."""
    loss_last: float
    """Mean loss of the last tenth of the updates."""
    settings: str
    """Hash of the settings."""
    base: dict[str, str]
    """File name -> sha256 of every frozen part."""
    resumed_from_step: int
    """0 for a run that was not interrupted."""
    notes: tuple[str, ...] = ()
    """What validation decided, in sentences."""
    seconds: float
    """Of the call that finished the run, start of the processes included."""


def train(  # noqa: PLR0913 (a stage with its places)
    store: Storage,
    pairs: Manifest,
    settings: TrainSettings,
    *,
    base: Path,
    work: Path,
    validation: Validation | None = None,
    on_event: OnEvent = unheard,
    progress: Progress = quiet,
) -> TrainOutcome:
    """Train an adapter in processes of its own, or go on where an earlier call was interrupted.

    Args:
        store: holds the shards and takes the adapter.
        pairs: what to train on.
        settings: how.
        base: bundle of the frozen parts.
        work: folder of the job folders; a finished job is recognised in it and costs nothing.
        validation: where held-out pictures are and how they are restored; only for settings that validate.
        on_event: called with every event (see components.train.events), for tracking.
        progress: called with (phase, done, total); the phase `train` counts updates.

    Raises:
        TrainError: the run cannot start or stopped; says why and what to do.
        WeightsError: a frozen part is missing.
        SettingsError: the settings contradict each other.
    """
    job = _job(
        Job(objects=store.root, pairs=pairs, settings=settings, base=str(base), base_hashes={}, folder="", validation=validation),
        work,
    )
    job.path.mkdir(parents=True, exist_ok=True)
    with locked(job.path):
        outcome = _finished(store, job)
        if outcome is None:
            outcome = _run(store, job, on_event, progress)
    return outcome


def _job(job: Job, work: Path) -> Job:
    """The same job with its hashes and its folder."""
    settings = job.settings
    require_consistent(settings)
    judge.require(settings)
    if settings.validate_every_steps:
        if job.validation is None:
            raise SettingsError("train.validate_every_steps needs to know the held-out pictures; give `validation`.")
        for metric in settings.validation_metrics:
            iqa.ready(metric, Path(job.validation.weights) if job.validation.weights else None)
    try:
        job = job.model_copy(update={"base_hashes": hashes(Path(job.base))})
    except ValueError as error:
        raise WeightsError(str(error)) from error
    # machines may share the work folder
    node = f"-node{rank}" if (rank := node_rank(settings)) else ""
    return job.model_copy(update={"folder": str(work.absolute() / f"train-{job.identity[:16]}{node}")})


def _finished(store: Storage, job: Job) -> TrainOutcome | None:
    """The outcome of an earlier call, if the adapter is still in the store."""
    try:
        outcome = TrainOutcome.model_validate_json((job.path / OUTCOME_FILE).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None
    same = outcome.settings == content_hash(job.settings)
    return outcome if same and store.exists(outcome.checkpoint) else None


def _run(store: Storage, job: Job, on_event: OnEvent, progress: Progress) -> TrainOutcome:
    def forward(event: Event) -> None:
        if event["event"] == "step":
            progress("train", int(event["step"]), job.settings.steps)
        if event["event"] == "phase":
            progress(str(event["phase"]), int(event["done"]), int(event["total"]))
        on_event(event)

    started = time.monotonic()
    result = _result(job)
    if result is None:
        write_text(job.path / JOB_FILE, job.model_dump_json())
        launch(job.path / JOB_FILE, job.settings, forward)
        result = _result(job)
    if result is None:
        raise TrainError(f"The training processes ended without a whole adapter in {job.path}. Run again; it goes on.")
    key = f"checkpoints/{result.sha256}/{ADAPTER_FILE}"
    store.put_file(key, job.path / ADAPTER_FILE)
    outcome = TrainOutcome(
        checkpoint=key,
        settings=content_hash(job.settings),
        base=job.base_hashes,
        seconds=time.monotonic() - started,
        **result.model_dump(),
    )
    write_text(job.path / OUTCOME_FILE, outcome.model_dump_json())
    return outcome


def _result(job: Job) -> Result | None:
    """What the training processes wrote, if the adapter beside it is the one that it names."""
    try:
        result = Result.model_validate_json((job.path / RESULT_FILE).read_text(encoding="utf-8"))
        return result if file_sha256(job.path / ADAPTER_FILE) == result.sha256 else None
    except (OSError, ValidationError):
        return None
