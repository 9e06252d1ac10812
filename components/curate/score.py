"""Scores of the pictures of one shard: blur and flat share from the luma, quality from the pixels.

No score drops anything. A shard's scores are remembered by picture, so that a killed run and a moved threshold
measure nothing again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from components.backends.storage import open_storage
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

    def measure(data: bytes) -> tuple[float, float]:
        return sharpness.score(codec.luma(data, limits=codec.STORED))

    return {key: (value[0], value[1]) for key, value in _remembered(SHARPNESS_OPERATOR, job, measure).items()}


def score_quality(jobs: Sequence[ScoreJob], metric: str, *, progress: Progress = quiet) -> dict[str, float]:
    """Give the no-reference metric by id, computed in this process, where the device is.

    NaN where the metric has no value for a picture.
    """
    operator = f"{metric}-{content_hash(iqa.versions())[:12]}"

    def measure(data: bytes) -> float:
        return iqa.score(metric, [codec.decode(data, limits=codec.STORED).image_u8])[0]

    scores: dict[str, float] = {}
    for done, job in enumerate(jobs):
        scores |= _remembered(operator, job, measure)
        progress("quality", done + 1, len(jobs))
    return scores


def _remembered(operator: str, job: ScoreJob, measure: Callable[[bytes], Any]) -> dict[str, Any]:
    """Measure the pictures of a shard that were not measured before; moved limits measure nothing twice."""
    store = open_storage(job.objects)
    key = f"scores/{operator}/{job.shard.rpartition('/')[2]}.json"
    known: dict[str, Any] = json.loads(store.read(key)) if store.exists(key) else {}
    new = {
        image_id: measure(store.read_range(job.shard, offset, length))
        for image_id, offset, length in job.spans
        if image_id not in known
    }
    if new:
        store.put(key, json.dumps(known | new, sort_keys=True).encode())
    return {image_id: (known | new)[image_id] for image_id, _, _ in job.spans}
