"""Poisson noise, the noise of light."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Annotated, Literal

import cv2
import numpy as np
import numpy.typing as npt
from numba import njit
from pydantic import Field

from components.imaging.degrade.carrier import Pixels, to_image
from components.imaging.degrade.noise import add
from components.records import Record

LEVELS = 256
GUIDES = 512
"""Places of the inverse distribution at which the search for a count begins."""


class Poisson(Record):
    """Poisson noise of one recipe."""

    kind: Literal["poisson"] = "poisson"
    scale: Annotated[float, Field(ge=0)]
    """Factor on the noise."""
    grey: bool
    """One field, drawn for the grey picture, in all channels."""
    seed: Annotated[int, Field(ge=0, lt=2**64)]


def poisson(image: Pixels, step: Poisson, size_px: tuple[int, int]) -> Pixels:
    """Add scale * (Poisson(v I) / v - I), I being the picture in 8 bits over 255, and clip to 0..255.

    v is the number of different levels in I, rounded up to a power of two (Real-ESRGAN, `generate_poisson_noise`).

    Args:
        image: (H, W, 3) float32, 0..255.
        step: scale, grey and seed.
        size_px: not used.
    """
    del size_px
    levels_u8 = to_image(image)
    if step.grey:
        levels_u8 = cv2.cvtColor(levels_u8, cv2.COLOR_RGB2GRAY)[..., None]
    found = np.flatnonzero(np.bincount(levels_u8.ravel(), minlength=LEVELS))
    values = 2 ** math.ceil(math.log2(len(found)))
    bits = np.random.Philox(key=step.seed).random_raw(-(-levels_u8.size // 2)).astype("<u8", copy=False).view(np.uint32)
    noise = np.empty(levels_u8.shape, np.float32)
    _look_up(levels_u8.ravel(), bits, *inverse(values), np.float32(step.scale), np.float32(values), noise.ravel())
    return add(image, noise)


@lru_cache(maxsize=9)
def inverse(values: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Distributions of the counts of every level: P(count <= first + k) in 2^-32, guides into them, and each first count."""
    means = np.arange(LEVELS) * (values / 255)
    first = np.maximum(0, np.floor(means - 7 * np.sqrt(means) - 7)).astype(np.int32)
    width = int(max(math.ceil(2 * (7 * math.sqrt(mean) + 12)) for mean in means))
    table = np.empty((LEVELS, width), np.uint32)
    for level, mean in enumerate(means.tolist()):
        total = 0.0
        for k in range(width):
            count = int(first[level]) + k
            total += math.exp(count * math.log(mean) - mean - math.lgamma(count + 1)) if mean else float(count == 0)
            table[level, k] = min(2**32 - 1, round(total * 2**32))
    starts = np.stack([np.searchsorted(row, np.arange(GUIDES, dtype=np.uint64) << np.uint64(23), side="right") for row in table])
    return table, starts.astype(np.int32), first


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _look_up(levels_u8, bits, table, starts, first, scale, values, noise):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0913, PLR0917
    last = table.shape[1] - 1
    for n in range(len(levels_u8)):
        level, u = levels_u8[n], bits[n]
        k = starts[level, u >> np.uint32(23)]
        while k < last and table[level, k] <= u:
            k += 1
        count = np.float32(first[level] + k)
        noise[n] = scale * (count / values * np.float32(255) - np.float32(level))
