"""Isotropic Gaussian blur."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import Field

from components.imaging.degrade.carrier import Pixels
from components.records import Record

_STEPS_PER_LEVEL = 256
"""The blur runs on 16-bit numbers, where OpenCV's is the same on every processor; on floats it is not."""


class Blur(Record):
    """Blur of one recipe."""

    kind: Literal["blur"] = "blur"
    sigma_px: Annotated[float, Field(ge=0)]
    """Standard deviation; 0 changes nothing."""


def blur(image: Pixels, step: Blur, size_px: tuple[int, int]) -> Pixels:
    """Blur with a window of 4 sigma to each side and reflect-101 borders.

    Args:
        image: (H, W, 3) float32, 0..255.
        step: its sigma.
        size_px: not used.
    """
    del size_px
    if step.sigma_px == 0:
        return image
    side = 2 * max(1, math.ceil(4 * step.sigma_px)) + 1
    fixed = np.rint(image * _STEPS_PER_LEVEL).astype(np.uint16)
    blurred = cv2.GaussianBlur(fixed, (side, side), step.sigma_px, borderType=cv2.BORDER_REFLECT_101)
    result: Pixels = blurred.astype(np.float32) / np.float32(_STEPS_PER_LEVEL)
    return result
