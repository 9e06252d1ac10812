"""Gaussian noise, independent per pixel, of each channel or of all alike."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numba import njit
from pydantic import Field

from components.imaging.degrade.carrier import Pixels
from components.records import Record


class Noise(Record):
    """Noise of one recipe, another in each channel; the field itself is made from the seed again."""

    kind: Literal["noise"] = "noise"
    sigma_u8: Annotated[float, Field(ge=0)]
    """Standard deviation on the 0..255 scale."""
    seed: Annotated[int, Field(ge=0, lt=2**64)]


class GreyNoise(Record):
    """Noise of one recipe that is the same in all channels."""

    kind: Literal["grey_noise"] = "grey_noise"
    sigma_u8: Annotated[float, Field(ge=0)]
    """Standard deviation on the 0..255 scale."""
    seed: Annotated[int, Field(ge=0, lt=2**64)]


def noise(image: Pixels, step: Noise | GreyNoise, size_px: tuple[int, int]) -> Pixels:
    """Add seeded noise and clip to 0..255.

    Args:
        image: (H, W, 3) float32, 0..255.
        step: sigma and seed.
        size_px: not used.
    """
    del size_px
    generator = np.random.Generator(np.random.Philox(key=step.seed))
    shape = image.shape if step.kind == "noise" else (*image.shape[:2], 1)
    field = generator.standard_normal(shape, dtype=np.float32)
    field *= np.float32(step.sigma_u8)
    return add(image, field)


def add(image: Pixels, field: Pixels) -> Pixels:
    """Add a field of (H, W, 3), or of (H, W, 1) to all channels alike, and clip to 0..255."""
    result: Pixels = np.empty(image.shape, np.float32)
    _add(image.reshape(-1, 3), field.reshape(-1, field.shape[-1]), result.reshape(-1, 3))
    return result


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _add(image, field, result):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    channels = field.shape[1]
    for n in range(len(image)):
        for c in range(3):
            value = image[n, c] + (field[n, c] if channels == 3 else field[n, 0])
            result[n, c] = min(max(value, np.float32(0)), np.float32(255))
