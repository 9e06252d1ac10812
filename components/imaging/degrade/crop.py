"""The HQ crop of a pair."""

from __future__ import annotations

import numpy as np

from components.errors import SettingsError
from components.imaging.degrade.carrier import Image


def crop(hq_u8: Image, crop_px: int | None, place: tuple[float, float], *, flip: bool) -> Image:
    """Cut a square and mirror it.

    Args:
        hq_u8: (H, W, 3) uint8.
        crop_px: side of the square; None keeps the whole picture.
        place: top and left as fractions in [0, 1) of the positions that fit.
        flip: mirror left and right.

    Raises:
        SettingsError: the picture is smaller than the crop; it is never padded or enlarged.
    """
    height, width = hq_u8.shape[:2]
    if crop_px is not None:
        if min(height, width) < crop_px:
            raise SettingsError(
                f"Expected a picture of at least {crop_px}x{crop_px} px for crop_px = {crop_px}, it is {width}x{height} px. "
                "Leave such pictures out or lower crop_px."
            )
        top, left = int(place[0] * (height - crop_px + 1)), int(place[1] * (width - crop_px + 1))
        hq_u8 = hq_u8[top : top + crop_px, left : left + crop_px]
    return np.ascontiguousarray(hq_u8[:, ::-1] if flip else hq_u8)
