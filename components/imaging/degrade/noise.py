"""Gaussian noise, independent per pixel, of each channel or of all alike."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
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
    result: Pixels = np.clip(image + np.float32(step.sigma_u8) * field, 0, 255)
    return result
