"""64-bit perceptual hash: finds re-encoded and rescaled copies, not crops.

The signs, against their median, of the 8x8 lowest frequencies of the 32x32 picture (the usual DCT hash).
"""

from __future__ import annotations

import cv2
import numpy as np

from components.imaging.codec import Image

_SIDE_PX = 32
_LOW = 8


def phash(image_u8: Image) -> str:
    """Hash a picture.

    Args:
        image_u8: (H, W, 3) RGB uint8.

    Returns:
        16 hexadecimal characters.
    """
    grey = cv2.cvtColor(image_u8, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    # rounded, so that what is zero but for rounding errors is zero on every processor
    low = np.round(cv2.dct(small.astype(np.float64))[:_LOW, :_LOW], 3)
    return np.packbits(low.ravel() > np.median(low)).tobytes().hex()


def distance(first: str, second: str) -> int:
    """Count the bits in which two hashes differ, 0..64; copies are within 2 or 3."""
    return (int(first, 16) ^ int(second, 16)).bit_count()
