"""Benchmarks: frozen ways to make an LQ picture from a held-out one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from components.errors import lookup
from components.imaging import codec
from components.imaging.degrade import recipe
from components.records import content_hash

BENCHMARKS: Mapping[str, str] = {"moderate": "moderate", "heavy": "heavy"}
"""Benchmark -> degradation preset; the presets are pinned by hash in their tests."""


def degraded(benchmark: str, image_id: str, hq_u8: codec.Image, *, seed: int) -> tuple[codec.Image, codec.Image]:
    """Make one test pair.

    Args:
        benchmark: name in BENCHMARKS.
        image_id: id of the picture; decides, with the seed, what is drawn.
        hq_u8: (H, W, 3) uint8, used whole.
        seed: of the evaluation or validation.

    Returns:
        (hq_u8, lq_u8) of equal size.
    """
    settings = recipe.preset(lookup(BENCHMARKS, benchmark, kind="benchmark"))
    drawn = recipe.draw(seed, image_id, 0, settings)
    return recipe.apply(hq_u8, drawn)


def degraded_again(benchmark: str, image_id: str, image_u8: codec.Image, *, seed: int) -> codec.Image:
    """Do to a restored picture what was done to its HQ, noise included: a faithful one gives its LQ back.

    Args:
        benchmark: name in BENCHMARKS.
        image_id: id of the HQ picture.
        image_u8: (H, W, 3) uint8, what was made of the LQ.
        seed: of the evaluation.
    """
    return degraded(benchmark, image_id, image_u8, seed=seed)[1]


def noise_seed(image_id: str, seed: int) -> int:
    """Seed of the sampler's noise: depends on the picture and the run, not on order or batch."""
    return int.from_bytes(hashlib.sha256(content_hash(image_id, seed).encode()).digest()[:4], "big")
