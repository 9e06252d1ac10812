"""Compression by the formats that websites deliver: WebP (libwebp) and AVIF (libavif with libaom), both 4:2:0."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.imaging import codec
from components.imaging.degrade.carrier import Pixels, to_image, to_pixels
from components.records import Record


class Webp(Record):
    """WebP compression of one recipe (RFC 9649, lossy)."""

    kind: Literal["webp"] = "webp"
    quality: Annotated[int, Field(ge=0, le=100)]
    """libwebp quality."""


class Avif(Record):
    """AVIF compression of one recipe (AV1 Image File Format 1.1)."""

    kind: Literal["avif"] = "avif"
    quality: Annotated[int, Field(ge=0, le=100)]
    """libavif quality."""


def webp(image: Pixels, step: Webp, size_px: tuple[int, int]) -> Pixels:
    """Round to 8 bits, encode, decode.

    Args:
        image: (H, W, 3) float32, 0..255.
        step: its quality.
        size_px: not used.

    Raises:
        SettingsError: a side is longer than WebP can say.
    """
    del size_px
    return to_pixels(codec.decode(codec.encode_webp(to_image(image), step.quality)).image_u8)


def avif(image: Pixels, step: Avif, size_px: tuple[int, int]) -> Pixels:
    """Round to 8 bits, encode, decode.

    Args:
        image: (H, W, 3) float32, 0..255.
        step: its quality.
        size_px: not used.

    Raises:
        SettingsError: the Pillow that is installed has no AVIF encoder.
    """
    del size_px
    return to_pixels(codec.decode(codec.encode_avif(to_image(image), step.quality)).image_u8)
