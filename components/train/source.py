"""From a job to its batches: rows, pixels made ahead, and features where the settings keep them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from components.backends.storage import open_storage
from components.records import content_hash
from components.train import data
from components.train.ahead import Ahead, Opening
from components.train.batches import Batches
from components.train.data import FeatureSource, LiveFeatures
from components.train.events import Emit
from components.train.job import Job
from components.train.kept import KINDS, Completed, Keeping, KeptFeatures, parts
from components.train.order import Indices, Order
from components.train.place import Place
from components.train.room import require_room
from components.train.rows import PairRows, folder_of, open_rows, unpack
from models.bundle import FrozenParts

FEATURE_BATCH = 8
"""Pairs per forward pass of the frozen parts."""


def open_batches(job: Job, frozen: FrozenParts, place: Place, *, done: int, emit: Emit) -> Batches:
    """Open the pairs, start the data workers and make the features that the settings keep; a collective call.

    Args:
        job: names pairs and settings.
        frozen: makes the features.
        place: this process.
        done: updates done already.
        emit: told about phases, and what the kept features take before they are made.

    Raises:
        TrainError: there are no pairs, their crops do not fit, or the features have no room.
    """
    settings, folder = job.settings, folder_of(job.path, job.pairs)
    emit("phase", phase="pairs", done=0, total=1)
    unpack(open_storage(job.objects, cache=job.path / "objects"), job.pairs, folder, crop_px=settings.crop_px)
    rows = open_rows(folder)
    emit("phase", phase="pairs", done=1, total=1)
    order = Order(settings.seed, tuple(rows.by_side.values()), settings.batch_size)
    opening = Opening(job.objects, job.path / "objects", folder, settings.synthesis)
    ahead = Ahead(opening, workers=settings.data_workers, prefetch=settings.prefetch) if settings.data_workers else None
    names = (*data.NAMES, data.HQ) if settings.sees_hq else data.NAMES
    live = LiveFeatures(opening.open(), frozen, settings.frozen_precision == "bf16", ahead, names)
    features = _features(Feed(job, place, rows, order, done), live, ahead, emit)
    return Batches(rows.ids, features, settings, place.device, order)


def _features(feed: Feed, live: LiveFeatures, ahead: Ahead | None, emit: Emit) -> FeatureSource:
    """Make what is kept, then have the workers follow the updates where they still have something to do."""
    cache = feed.job.settings.cache
    kept = feed.keep(live, ahead, emit) if cache != "none" else None
    if ahead and cache == "all":
        ahead.close()
    elif ahead:
        ahead.follow(feed.coming())
    if kept is None:
        return live
    return kept if cache == "all" else Completed(kept, live)


@dataclass(frozen=True)
class Feed:
    """The pairs of one job in one process."""

    job: Job
    place: Place
    rows: PairRows
    order: Order
    done: int
    """Updates done already."""

    def coming(self) -> Iterator[list[int]]:
        """Rows of this process' micro-batches from here on."""
        spread = self.place.spread(self.job.settings)
        for step in range(self.done, self.job.settings.steps):
            for samples in spread.micro_batches(step):
                yield self.order.rows(samples)

    def keep(self, live: LiveFeatures, ahead: Ahead | None, emit: Emit) -> KeptFeatures:
        """Make the features that the settings keep, after saying what they take; a collective call."""
        settings = self.job.settings

        def tick(done: int, total: int) -> None:
            emit("phase", phase="features", done=done, total=total)

        def keeping(needed: Indices) -> Keeping:
            names = live.names if settings.cache == "all" else KINDS[settings.cache]
            return Keeping(live, names, parts(needed, self.rows.by_side), FEATURE_BATCH, tick)

        if settings.cache_place == "memory":
            # every process looks at the control of the first samples
            first = self.order.rows(range(settings.micro_batch_size))
            own = np.unique(np.concatenate([np.asarray(first), *(np.asarray(rows) for rows in self.coming())]))
            return self._keep_in_memory(keeping(own), ahead, emit)
        every = np.unique(np.concatenate([self.order.update(step) for step in range(settings.steps)]))
        return self._keep_on_disk(keeping(every), self._folder(every), ahead, emit)

    def _keep_in_memory(self, keeping: Keeping, ahead: Ahead | None, emit: Emit) -> KeptFeatures:
        every = range(len(keeping.parts))
        # processes of one machine share its memory
        free = psutil.virtual_memory().available // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        require_room(keeping, every, free, where="memory", emit=emit)
        if ahead:
            ahead.follow(keeping.batches(every))
        return keeping.in_memory()

    def _keep_on_disk(self, keeping: Keeping, folder: Path, ahead: Ahead | None, emit: Emit) -> KeptFeatures:
        folder.mkdir(parents=True, exist_ok=True)
        require_room(keeping, keeping.missing(folder), shutil.disk_usage(folder).free, where="disk", emit=emit)
        self.place.barrier()  # nobody writes before all have looked
        share = (self.place.local_rank, self.place.local_processes)
        if ahead:
            ahead.follow(keeping.batches(keeping.missing(folder, share)))
        keeping.write(folder, share)
        self.place.barrier()
        return keeping.open(folder)

    def _folder(self, needed: Indices) -> Path:
        """Named by everything that decides what is kept."""
        job, settings = self.job, self.job.settings
        rows = hashlib.sha256(needed.astype(np.int64).tobytes()).hexdigest()
        made_with = (job.base_hashes, settings.frozen_precision, settings.synthesis, settings.sees_hq, settings.cache, rows)
        return job.path / f"features-{content_hash(data.OPERATOR, job.pairs.sha256, *made_with)[:16]}"


def drop_data(job: Job) -> None:
    """Delete the unpacked rows, and the features that were kept on disk."""
    for path in (*job.path.glob("features-*"), *job.path.glob("rows-*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
