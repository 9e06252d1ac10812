"""From a job to its batches: pairs, and their features where the settings keep them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable

from components.backends import manifest
from components.backends.storage import open_storage
from components.records import content_hash
from components.train import data
from components.train.batches import Batches
from components.train.data import FeatureSource, LiveFeatures, PairPixels
from components.train.job import Job
from components.train.order import pair_of
from components.train.place import Place
from models.bundle import FrozenParts

FEATURE_BATCH = 8
"""Pairs per forward pass of the frozen parts."""
Tick = Callable[[int, int], None]


def open_batches(job: Job, frozen: FrozenParts, place: Place, *, done: int, tick: Tick) -> Batches:
    """Read the pairs and make the features that the settings keep; a collective call.

    Args:
        job: names pairs and settings.
        frozen: makes the features.
        place: this process.
        done: updates done already.
        tick: called with (pairs, pairs in all) while features are made.
    """
    settings = job.settings
    store = open_storage(job.objects, cache=job.path / "objects")
    rows = manifest.rows(store, job.pairs)
    pixels = PairPixels(store, rows, crop_px=settings.crop_px)
    live = LiveFeatures(pixels, frozen, settings.frozen_precision == "bf16", settings.synthesis, settings.sees_hq)

    def needed(samples: Iterable[int]) -> list[int]:
        return sorted({pair_of(settings.seed, sample, len(rows)) for sample in samples})

    features: FeatureSource = live
    if settings.cache == "memory":
        spread = place.spread(settings)
        own = (sample for step in range(done, settings.steps) for part in spread.micro_batches(step) for sample in part)
        features = data.keep_in_memory(live, needed(own), batch=FEATURE_BATCH, tick=tick)
    if settings.cache == "disk":
        every = needed(range(settings.steps * settings.batch_size))
        made_with = (job.base_hashes, settings.frozen_precision, settings.synthesis, settings.sees_hq)
        folder = job.path / f"features-{content_hash(data.OPERATOR, job.pairs.sha256, *made_with, every)[:16]}"
        data.write_chunks(live, every, folder, batch=FEATURE_BATCH, share=(place.local_rank, place.local_processes), tick=tick)
        place.barrier()
        features = data.open_chunks(every, folder)
    return Batches([row["id"] for row in rows], features, settings, place.device)


def drop_features(job: Job) -> None:
    """Delete the features that were kept on disk."""
    for folder in job.path.glob("features-*"):
        shutil.rmtree(folder)
