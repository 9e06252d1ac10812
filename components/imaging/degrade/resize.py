"""Resampling: down by a scale, and back to the size of the HQ crop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import cv2
from pydantic import Field

from components.imaging.degrade.carrier import Pixels
from components.records import Record

_MODES: Mapping[str, int] = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


class Resize(Record):
    """Resampling of one recipe."""

    kind: Literal["resize"] = "resize"
    scale: Annotated[float, Field(gt=0)] | None
    """New side over old side, rounded to whole pixels and at least one; None means the size of the HQ crop."""
    mode: Literal["area", "bilinear", "bicubic"]


def resize(image: Pixels, step: Resize, size_px: tuple[int, int]) -> Pixels:
    """Resample without a further antialias filter.

    Args:
        image: (H, W, 3) float32, 0..255.
        step: scale and mode.
        size_px: (height, width) of the HQ crop.
    """
    height, width = image.shape[:2]
    if step.scale is not None:
        size_px = (max(1, round(height * step.scale)), max(1, round(width * step.scale)))
    if size_px == (height, width):
        return image
    result: Pixels = cv2.resize(image, (size_px[1], size_px[0]), interpolation=_MODES[step.mode])
    return result
