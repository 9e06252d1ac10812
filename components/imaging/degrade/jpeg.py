"""JPEG compression by real libjpeg."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.imaging import codec
from components.imaging.degrade.carrier import Pixels, to_image, to_pixels
from components.records import Record


class Jpeg(Record):
    """Compression of one recipe."""

    kind: Literal["jpeg"] = "jpeg"
    quality: Annotated[int, Field(ge=1, le=100)]
    """libjpeg quality; chroma is subsampled 4:2:0."""


def jpeg(image: Pixels, step: Jpeg, size_px: tuple[int, int]) -> Pixels:
    """Round to 8 bits, encode, decode.

    Args:
        image: (H, W, 3) float32, 0..255.
        step: its quality.
        size_px: not used.
    """
    del size_px
    return to_pixels(codec.decode(codec.encode_jpeg(to_image(image), step.quality)).image_u8)
