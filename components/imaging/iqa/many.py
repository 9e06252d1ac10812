"""Score many pictures by many metrics: in processes, each picture read once for all of them, nothing scored twice.

A score depends on its picture alone: not on the others, on their order or on the number of processes. A picture that cannot
be scored gives rows with a reason, and the rest goes on.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from components.backends.engine import map_shards
from components.backends.storage import file_sha256
from components.errors import DecodeError
from components.imaging import codec
from components.imaging.iqa import kept
from components.imaging.iqa.identity import device, operator
from components.imaging.iqa.kept import Known
from components.imaging.iqa.metrics import info
from components.imaging.iqa.scoring import Scorer, load, one_thread
from components.records import Progress, content_hash, quiet

log = logging.getLogger(__name__)

REASONS: Mapping[str, str] = {
    "": "the metric has a score",
    "no_reference": "the metric compares, and the picture has no reference",
    "not_found": "the file is not there or cannot be read",
    "other_size": "picture and reference are not of equal size",
    "too_small": "the picture is smaller than the metric's minimum",
    "says_nothing": "the metric gives no number for this picture, e.g. because nothing in it is textured",
    "metric_failed": "the metric stopped with an error",
    "worker_died": "two processes ended over this picture, e.g. for want of memory",
}
"""Why a row has no value, beside the codec's REASONS; of the reference they are `reference_` and the word."""
LASTING = ("", "too_small", "says_nothing")
"""What is kept; the others are tried again in the next run."""

Row = dict[str, Any]
"""`image_id`, `metric`, `value` (NaN where there is none), `reason` (empty beside a value), `input_format`, `operator`."""
Values = dict[str, Known]
"""Metric -> score."""


@dataclass(frozen=True)
class Item:
    """A picture to score."""

    id: str
    picture: Path
    reference: Path | None = None
    """HQ, or what else fidelity metrics compare with."""


@dataclass(frozen=True)
class Job:
    """A picture and what is not known of it; travels to a worker."""

    item: Item
    operators: tuple[tuple[str, str], ...]
    """(metric, its name for scores; see identity.operator)"""
    weights: Path | None
    cache: Path


class _Read(NamedTuple):
    """A file that was read, or the reason why not."""

    image_u8: codec.Image | None
    sha256: str = ""
    format: str = ""
    reason: str = ""


def score_files(
    items: Sequence[Item],
    metrics: Sequence[str],
    *,
    weights: Path | None,
    cache: Path,
    workers: int,
    progress: Progress = quiet,
) -> list[Row]:
    """Score pictures, those that are not in the cache in worker processes of one thread each.

    Metrics of an accelerator have one process, whatever `workers` says. Killed, it goes on where it stopped when it is
    called again. Several runs may share a cache.

    Args:
        items: pictures; each worker has one in memory.
        metrics: names in METRICS.
        weights: the weights folder, for metrics that need some.
        cache: file of known scores on a local disk, made where there is none.
        workers: processes.
        progress: called after each picture that was scored.

    Returns:
        A row for each picture and metric, in their order.

    Raises:
        UnknownName: there is no such metric.
        WeightsError: weights of a metric are not there; `usable` tells beforehand.
        StorageError: the cache cannot be used.
        WorkerError: workers cannot start.
    """
    operators = {name: operator(name, weights) for name in dict.fromkeys(metrics)}
    known = _known(items, operators, cache)
    for place in sorted({device(name) for name in operators}):
        here = {name: named for name, named in operators.items() if device(name) == place}
        lacking = [tuple((name, named) for name, named in here.items() if name not in values) for values in known]
        jobs = {number: Job(items[number], wanted, weights, cache) for number, wanted in enumerate(lacking) if wanted}
        if jobs:
            crew = workers if place == "cpu" else 1
            found = map_shards(score_picture, list(jobs.values()), workers=crew, phase="score", progress=progress, on_crash=_died)
            for number, values in zip(jobs, found, strict=True):
                known[number] |= values
    return [
        _row(item, name, values[name], named)
        for item, values in zip(items, known, strict=True)
        for name, named in operators.items()
    ]


def _row(item: Item, name: str, known: Known, named: str) -> Row:
    facts = {"value": known.value, "reason": known.reason, "input_format": known.format, "operator": named}
    return {"image_id": item.id, "metric": name} | facts


def _known(items: Sequence[Item], operators: Mapping[str, str], path: Path) -> list[Values]:
    """Look up what was scored before, by the content of the files."""
    digest = cache(_sha256)
    found: list[Values] = []
    with kept.opened(path) as scores:
        for item in items:
            picture, reference = digest(item.picture), digest(item.reference)
            looked_up = {name: scores.get(_key(name, named, picture, reference)) for name, named in operators.items()}
            found.append({name: score for name, score in looked_up.items() if score is not None})
    return found


def _sha256(path: Path | None) -> str:
    """Hash a file; empty where there is none, which is the key of no score."""
    try:
        return file_sha256(path) if path else ""
    except OSError:
        return ""


def _key(name: str, named: str, picture: str, reference: str) -> str:
    """Everything that a score depends on: bytes, decoder, metric with its guards, weights, versions, device."""
    metric = info(name)
    return content_hash(named, metric.size_rule, metric.perfect, picture, reference if metric.needs_reference else "", _decoder())


@cache
def _decoder() -> list[str]:
    return [importlib.metadata.version("pillow"), codec.libjpeg_version()]


def score_picture(job: Job) -> Values:
    """Score one picture and keep the scores; runs in a worker.

    Raises:
        WeightsError: the file of a set does not fit its metric.
        StorageError: the cache cannot be written.
    """
    picture = _read(job.item.picture)
    compares = any(info(name).needs_reference for name, _ in job.operators)
    reference = _read(job.item.reference) if compares and job.item.reference else None
    with one_thread():
        values = {name: _score(name, picture, reference, job.weights) for name, _ in job.operators}
    lasting = {
        _key(name, named, picture.sha256, reference.sha256 if reference else ""): values[name]
        for name, named in job.operators
        if values[name].reason in LASTING
    }
    with kept.opened(job.cache) as scores:
        scores.put(lasting)
    return values


def _died(job: Job) -> Values:
    return {name: Known(math.nan, "worker_died") for name, _ in job.operators}


def _read(path: Path) -> _Read:
    """Read and decode a file."""
    try:
        data = path.read_bytes()
    except OSError:
        return _Read(None, reason="not_found")
    digest = hashlib.sha256(data).hexdigest()
    try:
        decoded = codec.decode(data)
    except DecodeError as error:
        return _Read(None, digest, reason=error.reason)
    return _Read(decoded.image_u8, digest, decoded.format)


def _score(name: str, picture: _Read, reference: _Read | None, weights: Path | None) -> Known:
    """Give the score of one metric, or the reason why there is none."""
    pictures = [picture.image_u8]
    reason = picture.reason
    if info(name).needs_reference and not reason:
        reason = _unlike(picture, reference)
        pictures += [reference.image_u8] if reference else []
    images = [image for image in pictures if image is not None]
    value = math.nan
    if not reason:
        scorer = load(name, weights)
        if not scorer.large_enough(images[0]):
            reason = "too_small"
        else:
            value, reason = _tried(scorer, images)
    return Known(value, reason, picture.format)


def _unlike(picture: _Read, reference: _Read | None) -> str:
    """Say why a picture cannot be compared; empty where it can."""
    if reference is None:
        return "no_reference"
    if picture.image_u8 is None or reference.image_u8 is None:
        return f"reference_{reference.reason}"
    return "" if picture.image_u8.shape == reference.image_u8.shape else "other_size"


def _tried(scorer: Scorer, images_u8: Sequence[codec.Image]) -> tuple[float, str]:
    """(score, reason); libraries stop at degenerate pictures with errors of every kind."""
    try:
        value = scorer.one(*images_u8)
    except Exception as error:
        log.warning("No %s: %s: %s", scorer.name, type(error).__name__, str(error).partition("\n")[0][:200])
        return math.nan, "metric_failed"
    return (value, "") if math.isfinite(value) else (math.nan, "says_nothing")
