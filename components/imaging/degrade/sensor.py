"""Sensor noise in linear light: the shot noise of the photons and the read noise of the circuit.

A value x of light in 0..1 becomes N(x, shot x + read) (Brooks et al., "Unprocessing Images for Learned Raw Denoising", CVPR 2019,
section 3.1). Their values are those of raw files; here they meet the three channels of a developed picture, without mosaic,
colour matrix and white balance, so that noise is independent per pixel and channel.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from components.imaging.degrade.carrier import Pixels
from components.imaging.degrade.light import from_light, to_light
from components.records import Record


class Sensor(Record):
    """Shot and read noise of one recipe; the field itself is made from the seed again."""

    kind: Literal["sensor"] = "sensor"
    shot: Annotated[float, Field(ge=0, le=1)]
    """Variance per light, of 1 for white: the share of white that one electron is."""
    read: Annotated[float, Field(ge=0, le=1)]
    """Variance without light, of 1 for white."""
    seed: Annotated[int, Field(ge=0, lt=2**64)]


def sensor(image: Pixels, step: Sensor, size_px: tuple[int, int]) -> Pixels:
    """Add seeded noise to the light and clip it to 0..1.

    Args:
        image: (H, W, 3) float32, 0..255.
        step: both variances and the seed.
        size_px: not used.
    """
    del size_px
    light = to_light(image)
    field = np.random.Generator(np.random.Philox(key=step.seed)).standard_normal(image.shape, dtype=np.float32)
    sigma = np.sqrt(np.float32(step.shot) * light + np.float32(step.read))
    return from_light(light + sigma * field)
