"""What travels from one degradation step to the next."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""(H, W, 3) RGB, 0..255."""
Pixels = npt.NDArray[np.float32]
"""(H, W, 3) RGB, 0..255, not rounded."""


def to_pixels(image_u8: Image) -> Pixels:
    """Leave the integers."""
    return image_u8.astype(np.float32)


def to_image(image: Pixels) -> Image:
    """Round half to even and clip."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
