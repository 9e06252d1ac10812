"""Scores of the pictures of one shard: blur and flat share from the luma, quality from the pixels.

No score drops anything. A shard's scores are kept beside it by content, so that a killed run and a moved
threshold decode nothing again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from components.backends.storage import Storage, open_storage
from components.imaging import codec, iqa, sharpness
from components.records import Progress, content_hash, quiet

Row = dict[str, Any]

SHARPNESS_OPERATOR = "sharpness-1"


@dataclass(frozen=True)
class ScoreJob:
    """Rows of one shard."""

    objects: str
    shard: str
    spans: tuple[tuple[str, int, int], ...]
    """(id, offset, length) of each picture."""


def shard_jobs(objects: str, rows: Sequence[Row]) -> list[ScoreJob]:
    """Group the stored rows by shard, in a fixed order, each picture once."""
    by_shard: dict[str, dict[str, tuple[str, int, int]]] = {}
    for row in rows:
        if row["verdict"] == "kept":
            by_shard.setdefault(row["shard"], {})[row["id"]] = (row["id"], row["offset"], row["length"])
    return [ScoreJob(objects, shard, tuple(sorted(spans.values()))) for shard, spans in sorted(by_shard.items())]


def score_sharpness(job: ScoreJob) -> dict[str, tuple[float, float]]:
    """Give (blur, flat share) by id; flat share is NaN for a picture without a whole patch."""
    store = open_storage(job.objects)

    def measure() -> dict[str, tuple[float, float]]:
        measured = {}
        for image_id, offset, length in job.spans:
            luma_u8 = codec.luma(store.read_range(job.shard, offset, length))
            measured[image_id] = sharpness.score(luma_u8)
        return measured

    return {key: (value[0], value[1]) for key, value in _once(store, SHARPNESS_OPERATOR, job, measure).items()}


def score_quality(jobs: Sequence[ScoreJob], metric: str, *, progress: Progress = quiet) -> dict[str, float]:
    """Give the no-reference metric by id, computed in this process, where the device is."""
    scores: dict[str, float] = {}
    for done, job in enumerate(jobs):
        store = open_storage(job.objects)

        def measure(job: ScoreJob = job, store: Storage = store) -> dict[str, float]:
            pictures = {
                image_id: codec.decode(store.read_range(job.shard, offset, length)).image_u8
                for image_id, offset, length in job.spans
            }
            return {key: iqa.score(metric, [image])[0] for key, image in pictures.items()}

        operator = f"{metric}-{content_hash(iqa.versions())[:12]}"
        scores |= _once(store, operator, job, measure)
        progress("quality", done + 1, len(jobs))
    return scores


def _once(store: Storage, operator: str, job: ScoreJob, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Measure a shard, or read what was measured before."""
    key = f"scores/{operator}/{content_hash(job.shard, list(job.spans))}.json"
    if not store.exists(key):
        store.put(key, json.dumps(measure(), sort_keys=True).encode())
    found: dict[str, Any] = json.loads(store.read(key))
    return found
