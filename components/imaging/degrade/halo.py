"""Over-sharpening: the bright and dark halos that unsharp masking leaves along edges.

I + amount (I - B), B being I blurred by a Gaussian (unsharp masking; its artefacts in Krasula et al., "Quality Assessment of
Sharpened Images", IEEE TIP 26(3), 2017). Editors work on the levels, not on light, and so does this.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from components.imaging.degrade import kernels
from components.imaging.degrade.carrier import Pixels
from components.imaging.degrade.correlate import correlate_lines
from components.records import Record

REACH_SIGMAS = 4


class Halo(Record):
    """Over-sharpening of one recipe."""

    kind: Literal["halo"] = "halo"
    amount_percent: Annotated[int, Field(ge=0, le=1000)]
    """What is added of the detail, as editors say it."""
    sigma_px: Annotated[float, Field(gt=0, le=12)]
    """Standard deviation of the blur, an editor's radius."""


def halo(image: Pixels, step: Halo, size_px: tuple[int, int]) -> Pixels:
    """Sharpen too much and clip to 0..255; borders are reflect-101.

    Args:
        image: (H, W, 3) float32, 0..255.
        step: amount and sigma.
        size_px: not used.
    """
    del size_px
    taps = 2 * math.ceil(REACH_SIGMAS * step.sigma_px) + 1
    detail = image - correlate_lines(image, kernels.line(taps, step.sigma_px))
    result: Pixels = np.clip(image + np.float32(step.amount_percent / 100) * detail, 0, 255)
    return result
