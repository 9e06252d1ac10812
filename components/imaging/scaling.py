"""Bring a picture to another size."""

from __future__ import annotations

import cv2

from components.imaging.codec import Image


def to_size(image_u8: Image, height_px: int, width_px: int) -> Image:
    """Enlarge bicubically, shrink by area means; the same picture where the size is right already.

    Args:
        image_u8: (H, W, 3) uint8.
        height_px: wanted height.
        width_px: wanted width.
    """
    if image_u8.shape[:2] == (height_px, width_px):
        return image_u8
    grows = height_px * width_px > image_u8.shape[0] * image_u8.shape[1]
    scaled: Image = cv2.resize(image_u8, (width_px, height_px), interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA)
    return scaled
