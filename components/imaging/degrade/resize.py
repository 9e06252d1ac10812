"""Resampling: by a factor, to a part of the size of the HQ crop, and back to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import cv2
from pydantic import Field

from components.imaging.degrade.carrier import Pixels
from components.records import Record

Mode = Literal["area", "bilinear", "bicubic"]
_MODES: Mapping[str, int] = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


class Resize(Record):
    """Resampling of one recipe."""

    kind: Literal["resize"] = "resize"
    scale: Annotated[float, Field(gt=0)] | None
    """New side over old side, rounded to whole pixels and at least one; None means the size of the HQ crop."""
    mode: Mode


class Rescale(Record):
    """Resampling of one recipe whose grid has the factor itself, as torch's `interpolate(scale_factor=...)` has."""

    kind: Literal["rescale"] = "rescale"
    factor: Annotated[float, Field(gt=0)]
    """Distance of two old pixels, in new ones; the new side is the old one times it, rounded down, and at least one."""
    mode: Mode


class Fit(Record):
    """Resampling of one recipe to a part of the HQ crop's size."""

    kind: Literal["fit"] = "fit"
    part: Annotated[float, Field(gt=0)]
    """New side over the side of the HQ crop; the new side is rounded down, and at least one."""
    mode: Mode


def rescale(image: Pixels, step: Rescale, size_px: tuple[int, int]) -> Pixels:
    """Resample by a factor, without a further antialias filter.

    Args:
        image: (H, W, 3) float32, 0..255.
        step: factor and mode.
        size_px: not used.
    """
    del size_px
    height, width = (max(1, math.floor(side * step.factor)) for side in image.shape[:2])
    if min(image.shape[:2]) * step.factor < 1:
        return resize(image, Resize(scale=step.factor, mode=step.mode), (1, 1))
    # OpenCV rounds the sides to the nearest and takes the grid of the factor; what it has too much is at the end
    return _resampled(image, None, step.mode, step.factor)[:height, :width]


def fit(image: Pixels, step: Fit, size_px: tuple[int, int]) -> Pixels:
    """Resample to a part of the HQ crop's size, without a further antialias filter.

    Args:
        image: (H, W, 3) float32, 0..255.
        step: part and mode.
        size_px: (height, width) of the HQ crop.
    """
    height, width = (max(1, int(side * step.part)) for side in size_px)
    return _resampled(image, (width, height), step.mode)


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
    return _resampled(image, (size_px[1], size_px[0]), step.mode)


def _resampled(image: Pixels, size_px: tuple[int, int] | None, mode: Mode, factor: float = 0) -> Pixels:
    """Resample without Intel's library, whose sums depend on the processor; OpenCV's own are the same on all.

    The switch belongs to the thread and is put back.
    """
    used = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        result: Pixels = cv2.resize(image, size_px, fx=factor, fy=factor, interpolation=_MODES[mode])
    finally:
        cv2.ipp.setUseIPP(used)
    return result
