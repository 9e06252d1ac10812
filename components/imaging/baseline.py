"""The filter from every toolbox that a model has to beat."""

from __future__ import annotations

import cv2

from components.imaging.codec import Image

DIAMETER_PX = 9
"""Window."""
SIGMA_COLOUR_U8 = 110.0
"""Neighbours that differ by this many grey levels (summed over the channels) count for 0.6."""
SIGMA_SPACE_PX = 3.0
"""Neighbours at this distance count for 0.6."""


def bilateral(lq_u8: Image) -> Image:
    """Smooth noise and keep edges; the same settings whatever the degradation.

    Args:
        lq_u8: (H, W, 3) RGB uint8.
    """
    filtered: Image = cv2.bilateralFilter(lq_u8, DIAMETER_PX, SIGMA_COLOUR_U8, SIGMA_SPACE_PX)
    return filtered
