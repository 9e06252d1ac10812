"""What the checks look at: the pictures as 8 bits, their averages and their noise, each computed once."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from components.imaging.codec import Image

Image01 = npt.NDArray[np.float32]
Plane = npt.NDArray[np.float32]
"""(rows, columns) or (rows, columns, 3), levels of 255."""

CELL_PX = 16
"""Averages over this side keep what blur, noise, compression and shrinking by up to four keep."""
_SECOND_DIFFERENCE = np.array([1, -2, 1], np.float32)
"""Across and down it is blind to planes; on white noise its deviation is six times the noise's (Immerkaer 1996)."""
_MEDIAN_OF_NORMAL = 0.6745
"""Median of the absolute value of a standard normal variable."""


class Seen:
    """One LQ, what the light restorer made of it where that is known, and the result to judge."""

    def __init__(self, lq: Image | Image01, lrp: Image | Image01 | None, restored: Image | Image01) -> None:
        """Take three pictures of one size, (H, W, 3), uint8 or float in [0, 1].

        Raises:
            ValueError: a picture has another layout or size.
        """
        for name, picture in (("LQ", lq), ("LRP", lrp), ("restored picture", restored)):
            if picture is not None and (picture.ndim != 3 or picture.shape != lq.shape or lq.shape[2] != 3 or not lq.size):
                raise ValueError(
                    f"Expected pictures (H, W, 3) of one size, {lq.shape} as the LQ; the {name} has {picture.shape}."
                )
        self.not_finite = 0.0 if restored.dtype == np.uint8 else float(1 - np.isfinite(restored).mean())
        self.lq_u8, self.restored_u8 = as_u8(lq), as_u8(restored)
        self.lrp_u8 = None if lrp is None else as_u8(lrp)

    @property
    def reference_u8(self) -> Image:
        """The LRP, which has no noise, where it is known, else the LQ."""
        return self.lq_u8 if self.lrp_u8 is None else self.lrp_u8

    @property
    def reference_name(self) -> str:
        """Its name for sentences."""
        return "LQ" if self.lrp_u8 is None else "LRP"

    @cached_property
    def lq_cells(self) -> Plane:
        """Averages of the LQ over 16 px."""
        return averages(self.lq_u8, CELL_PX)

    @cached_property
    def restored_cells(self) -> Plane:
        """Averages of the result over 16 px."""
        return averages(self.restored_u8, CELL_PX)

    @cached_property
    def lq_luma(self) -> Image:
        """(H, W) uint8."""
        return luma(self.lq_u8)

    @cached_property
    def reference_luma(self) -> Image:
        """(H, W) uint8."""
        return self.lq_luma if self.lrp_u8 is None else luma(self.lrp_u8)

    @cached_property
    def restored_luma(self) -> Image:
        """(H, W) uint8."""
        return luma(self.restored_u8)

    @cached_property
    def noise_u8(self) -> float:
        """Deviation of the LQ's fine noise; see `noise`."""
        return noise(self.lq_luma)


def as_u8(picture: Image | Image01) -> Image:
    """Round a picture to 8 bits; what is not finite becomes 0."""
    if picture.dtype == np.uint8:
        return np.ascontiguousarray(picture)
    rounded: Image = np.rint(np.nan_to_num(picture, posinf=0, neginf=0).clip(0, 1) * 255).astype(np.uint8)
    return rounded


def luma(image_u8: Image) -> Image:
    """Weigh RGB by 0.299, 0.587, 0.114; (H, W) uint8."""
    found: Image = cv2.cvtColor(image_u8, cv2.COLOR_RGB2GRAY)
    return found


def averages(image_u8: Image, side_px: int) -> Plane:
    """Average over about square cells; one cell for a side that is shorter."""
    height, width = image_u8.shape[:2]
    size = (max(1, round(width / side_px)), max(1, round(height / side_px)))
    found: Plane = cv2.resize(image_u8, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return found


def noise(luma_u8: Image) -> float:
    """Estimate the deviation of white noise, in levels up to 63; enlarged noise counts for less. 0 below 3 px.

    J. Immerkaer, Fast noise variance estimation (1996), with the median for the mean, so that edges count little.
    """
    if min(luma_u8.shape) < 3:
        return 0.0
    seen = cv2.sepFilter2D(luma_u8, cv2.CV_16S, _SECOND_DIFFERENCE, _SECOND_DIFFERENCE)[1:-1, 1:-1]
    counts = cv2.calcHist([cv2.convertScaleAbs(seen)], [0], None, [256], [0, 256]).ravel()
    median = int(np.searchsorted(np.cumsum(counts, dtype=np.float64), seen.size / 2))
    return median / _MEDIAN_OF_NORMAL / 6
