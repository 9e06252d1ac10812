"""Restore and score held-out pictures one by one; a finished picture is never done twice."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.backends.storage import LocalStorage, Storage
from components.evaluate.settings import EvaluateSettings
from components.imaging import codec, iqa
from components.imaging.baseline import bilateral
from components.imaging.benchmarks import degraded, degraded_again, noise_seed
from components.imaging.held_out import HeldOut, load
from components.imaging.restorer import Restorer
from components.records import Progress

METHODS = ("lq", "bilateral", "lrp", "restored")
"""Rows of the table: the input, a filter from every toolbox, the light restorer alone, the model."""


@dataclass(frozen=True)
class Example:
    """Everything that one benchmark makes of one picture; PNG bytes by method, and `hq`."""

    image_id: str
    benchmark: str
    pictures: Mapping[str, bytes]
    scores: tuple[dict[str, Any], ...]
    seconds: float
    """What restoring took."""


def restore_held_out(
    store: Storage,
    held_out: Sequence[HeldOut],
    restorer: Restorer,
    settings: EvaluateSettings,
    *,
    work: Path,
    progress: Progress,
) -> list[Example]:
    """Degrade, restore and score each picture under each benchmark.

    Args:
        store: holds the shards.
        held_out: the pictures.
        restorer: the model under test.
        settings: benchmarks, metrics, crop, seed.
        work: finished pictures are kept here and found again by a re-run.
        progress: called after each picture.
    """
    done = LocalStorage(work)
    examples = []
    total = len(held_out) * len(settings.benchmarks)
    for benchmark in settings.benchmarks:
        for image in held_out:
            key = f"{benchmark}/{image.id}"
            if not done.exists(f"{key}/scores.json"):
                _one(done, key, load(store, image, settings.crop_px), restorer, settings)
            examples.append(_read(done, key))
            progress("evaluate", len(examples), total)
    return examples


def _one(done: LocalStorage, key: str, hq_u8: codec.Image, restorer: Restorer, settings: EvaluateSettings) -> None:
    benchmark, _, image_id = key.partition("/")
    hq_u8, lq_u8 = degraded(benchmark, image_id, hq_u8, seed=settings.seed)
    began = time.monotonic()
    result = restorer.restore([lq_u8], seeds=[noise_seed(image_id, settings.seed)])[0]
    done.put(f"{key}/seconds.json", json.dumps(time.monotonic() - began).encode())
    pictures = {"lq": lq_u8, "bilateral": bilateral(lq_u8), "lrp": result.lrp_u8, "restored": result.restored_u8}
    again = [degraded_again(benchmark, image_id, pictures[method], seed=settings.seed) for method in METHODS]
    scores = [
        {"image_id": image_id, "benchmark": benchmark, "method": method, "metric": metric, "value": value}
        for metric in settings.metrics
        for method, value in zip(METHODS, _values(metric, pictures, again, hq_u8, restorer), strict=True)
    ]
    for name, image_u8 in {**pictures, "hq": hq_u8}.items():
        done.put(f"{key}/{name}.png", codec.encode_png(image_u8))
    done.put(f"{key}/scores.json", json.dumps(scores).encode())


def _values(
    metric: str, pictures: Mapping[str, codec.Image], again: list[codec.Image], hq_u8: codec.Image, restorer: Restorer
) -> list[float]:
    """Score what each method made; `again` holds the same after a second degradation."""
    if iqa.info(metric).own_encoder:
        return [restorer.similarity(pictures[method], hq_u8) for method in METHODS]
    if iqa.info(metric).redegraded:
        return iqa.score(metric, again, [pictures["lq"]] * len(again))
    images = [pictures[method] for method in METHODS]
    return iqa.score(metric, images, [hq_u8] * len(images) if iqa.info(metric).needs_reference else None)


def _read(done: LocalStorage, key: str) -> Example:
    benchmark, _, image_id = key.partition("/")
    pictures = {name: done.read(f"{key}/{name}.png") for name in (*METHODS, "hq")}
    scores, seconds = (json.loads(done.read(f"{key}/{name}.json")) for name in ("scores", "seconds"))
    return Example(image_id, benchmark, pictures, tuple(scores), seconds)


def comes_out_the_same(example: Example, restorer: Restorer, seed: int) -> bool:
    """Restore a picture again from its seed and compare every bit.

    Args:
        example: what was made of it.
        restorer: the model under test.
        seed: of the evaluation.
    """
    lq_u8, before = (codec.decode(example.pictures[name]).image_u8 for name in ("lq", "restored"))
    again = restorer.restore([lq_u8], seeds=[noise_seed(example.image_id, seed)])[0]
    return bool(np.array_equal(again.restored_u8, before))
