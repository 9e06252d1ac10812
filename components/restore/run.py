"""Restore a batch: every input ends as one output or one reason; nothing is done twice or overwritten.

A batch is a job in the state database, named by everything that decides it. Workers take its shards until none is left: in
this process, on this machine or on a Ray cluster. Whoever is killed, the same command goes on; two at once share the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.backends.jobs import Job, Jobs
from components.backends.storage import LocalStorage, Storage, open_storage
from components.errors import SourceError, WeightsError
from components.records import Progress, Restoration, content_hash, quiet
from components.restore import drift, review_page
from components.restore.crew import KIND, Crew
from components.restore.drift import Sample
from components.restore.finish import Outcome, gather
from components.restore.inputs import Input, Place, list_inputs
from components.restore.model import Model
from components.restore.plan import Plan, make_plan
from components.restore.settings import RestoreSettings
from components.restore.work import Served, Work, sample_of

if TYPE_CHECKING:
    from components.imaging.restorer import Restorer

HEAD_BYTES = 12
"""Enough to tell JPEG, PNG and WebP apart."""


@dataclass(frozen=True)
class Batch:
    """One restoration: which model, which settings, where to, and where it is remembered."""

    model: Model
    settings: RestoreSettings
    output: str
    """Folder or s3://bucket/prefix."""
    state: str = field(repr=False)
    """URL of the state database."""
    objects: str
    """Root of the object store."""
    force: bool = False
    """Files that something else put into the output are overwritten."""
    engine: str = ""
    """Address of a Ray cluster; empty for this machine."""
    cache: Path | None = None
    weights: Path | None = None
    training: Callable[[], Mapping[str, Sample]] = field(default=dict, repr=False)
    """Gives what the model was trained with, by name, for the drift watch; empty where it is not known."""
    run: str = ""
    """Id of the flow run, by which the job is found again."""
    restorer: Restorer | None = None
    """The model, where it is loaded already; for one worker in this process."""

    @property
    def store(self) -> Storage:
        """The object store."""
        return open_storage(self.objects, cache=self.cache)


def restore(addresses: Sequence[str], batch: Batch, *, progress: Progress = quiet) -> Restoration:
    """Restore everything that addresses name; a job that was begun goes on, one that has ended is looked through again.

    Args:
        addresses: see list_inputs.
        batch: model, settings and output.
        progress: called as pictures are listed and done.

    Raises:
        SourceError: an address names nothing, or more than `restore.max_failed_share` of the pictures failed; what was
            restored stays.
        StorageError: the output cannot be written.
        WorkerError: workers die again and again.
    """
    batch = replace(batch, output=_root(batch.output))
    jobs, objects, settings = Jobs(batch.state), batch.store, batch.settings
    plan = make_plan(
        list_inputs(addresses, Place(objects, batch.output)),
        objects,
        kind=settings.format,
        shard_pictures=settings.shard_pictures,
        head=partial(_head, cache(open_storage)),
        progress=progress,
    )
    job = jobs.record(_job(addresses, batch, plan), plan.shards)
    if job.state != "open":
        jobs.reopen(job.id)
    return _go_on(job, jobs, batch, progress)


def _job(addresses: Sequence[str], batch: Batch, plan: Plan) -> Job:
    """The record of a batch, named by everything that decides its results and what is said of them."""
    model, settings = batch.model, batch.settings
    said = {"scores": settings.scores, "review": settings.review, "force": batch.force}
    return Job(
        id=content_hash(KIND, plan.digest, model.name, model.identity, settings.deciding(), said, batch.output),
        kind=KIND,
        inputs=tuple(addresses),
        output=batch.output,
        model=model.name,
        settings={
            "restore": settings.model_dump(mode="json"),
            "identity": model.identity,
            "sampler": model.sampler.model_dump(mode="json"),
            "force": batch.force,
        },
        items=plan.pictures,
        run=batch.run,
    )


def go_on(job: Job, batch: Batch, *, progress: Progress = quiet) -> Restoration:
    """Continue a job by its record: the inputs as they were listed then, the model version that was meant then.

    Args:
        job: as it was found.
        batch: the same model, settings and output as recorded.
        progress: called as pictures are done.

    Raises:
        WeightsError: the model is not the one that the job was begun with.
        SourceError: too many pictures failed, again.
    """
    if batch.model.identity != job.settings["identity"]:
        raise WeightsError(
            f"Job {job.id[:12]} was begun with {job.model} ({job.settings['identity'][:12]}), now this model is "
            f"{batch.model.identity[:12]}: its files or its sampler were changed. Start a new job."
        )
    jobs = Jobs(batch.state)
    jobs.visit(job.id, batch.run)
    if job.state == "failed":
        jobs.reopen(job.id)
    return _go_on(job, jobs, replace(batch, output=job.output), progress)


def _root(output: str) -> str:
    """The output as storage names it."""
    return output.rstrip("/") if output.startswith("s3://") else LocalStorage(output.removeprefix("file://")).root


def _head(opened: Callable[[str], Storage], item: Input) -> bytes:
    """First bytes of an input."""
    if isinstance(store := opened(item.root), LocalStorage):
        with (store.folder / item.key).open("rb") as file:
            file.seek(max(0, item.offset))
            return file.read(HEAD_BYTES)
    return store.read_range(item.key, max(0, item.offset), HEAD_BYTES)


def _go_on(job: Job, jobs: Jobs, batch: Batch, progress: Progress) -> Restoration:
    began = time.time()
    work = Work(
        state=batch.state,
        job=job.id,
        model=batch.model,
        settings=batch.settings,
        objects=batch.objects,
        output=batch.output,
        force=batch.force,
        cache=batch.cache,
        weights=batch.weights,
    )
    served = Crew(work, job.items, jobs, batch.engine, batch.restorer, progress).work_off()
    output, settings = open_storage(batch.output), content_hash(batch.settings.deciding())
    parts = jobs.results(job.id)
    outcome = gather(job, parts, objects=batch.store, output=output, settings=settings)
    failed = outcome.counts["failed"]
    too_many = failed > batch.settings.max_failed_share * job.items
    jobs.close(job.id, "failed" if too_many else "finished", outcome.counts)
    if too_many:
        raise SourceError(
            f"{failed} of {job.items} pictures failed, more than restore.max_failed_share = {batch.settings.max_failed_share} "
            f"allows. The reasons are in {batch.output}/{outcome.sidecar}; restored pictures were kept."
        )
    return _record(job, batch, outcome, served, began).model_copy(update=_looked_at(job, batch, parts, outcome.counts))


def _looked_at(job: Job, batch: Batch, parts: Sequence[str], counts: Mapping[str, int]) -> dict[str, Any]:
    """Pages of flagged results and of drift, and what they say."""
    store, settings = batch.store, batch.settings
    said: dict[str, Any] = {}
    if any(True for _ in store.list(f"reviews/{job.id}/")):
        restored = counts["restored"] + counts["reused"]
        said["review_page"] = review_page.put_page(store, job.id, restored=restored, shown=settings.quality.shown)
    samples = (Sample.unpack(store.read(sample_of(key))) for key in parts)
    found = drift.merged(samples, settings.drift.sample)
    if found.rows:
        training = batch.training() if found.pictures >= settings.drift.pictures_minimum else {}
        report = drift.watch(store, job.id, found, training, settings.drift)
        # outputs unlike HQ say something of the model, every night, and nothing of this batch
        lines = [one for one in report.drifted if not (one.against in training and one.statistic.startswith("output."))]
        drifted = tuple(line.sentence for line in lines)
        said |= {"drift": report.summary, "drift_page": report.page, "drifted": drifted, "moved": report.moved_ids}
    return said


def _record(job: Job, batch: Batch, outcome: Outcome, served: list[Served], began: float) -> Restoration:
    ready = min((one.ready for one in served), default=began)
    return Restoration(
        manifest=outcome.manifest,
        output=batch.output,
        model=job.model,
        job=job.id,
        sidecar=f"{batch.output}/{outcome.sidecar}",
        start_seconds=round(ready - began, 3),
        work_seconds=round(max((one.ended for one in served), default=ready) - ready, 3),
        **outcome.counts,
    )
