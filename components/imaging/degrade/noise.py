"""Gaussian noise, independent per pixel and channel."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from components.imaging.degrade.carrier import Pixels
from components.records import Record


class Noise(Record):
    """Noise of one recipe; the field itself is made from the seed again."""

    kind: Literal["noise"] = "noise"
    sigma_u8: Annotated[float, Field(ge=0)]
    """Standard deviation on the 0..255 scale."""
    seed: Annotated[int, Field(ge=0, lt=2**64)]


def noise(image: Pixels, step: Noise, size_px: tuple[int, int]) -> Pixels:
    """Add seeded noise and clip to 0..255.

    Args:
        image: (H, W, 3) float32, 0..255.
        step: sigma and seed.
        size_px: not used.
    """
    del size_px
    generator = np.random.Generator(np.random.Philox(key=step.seed))
    field = generator.standard_normal(image.shape, dtype=np.float32)
    result: Pixels = np.clip(image + np.float32(step.sigma_u8) * field, 0, 255)
    return result
