"""From pixels to the bytes of a file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import PIL.Image

from components.errors import lookup
from components.imaging.codec import colour
from components.imaging.codec.reading import Image, Metadata

ENCODERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "jpeg": ("JPEG", {"quality": 95, "subsampling": "4:4:4"}),
    "png": ("PNG", {"compress_level": 6}),
    "webp": ("WEBP", {"quality": 95, "method": 4}),
}
"""Formats of results, at settings where the eye finds no loss."""

_JPEG_SEGMENT_BYTES = 65_533
_SIDE_PX = {"jpeg": 65_500, "png": 2**31 - 1, "webp": 16_383}


def encode_png(image_u8: Image) -> bytes:
    """Encode without loss; equal pixels give equal bytes."""
    return _saved(image_u8, "PNG", {"compress_level": 6})


def encode_jpeg(image_u8: Image, quality: int) -> bytes:
    """Encode with libjpeg, chroma 4:2:0.

    Args:
        image_u8: (H, W, 3) or (H, W) uint8.
        quality: 1..100.
    """
    return _saved(image_u8, "JPEG", {"quality": quality, "subsampling": "4:2:0"})


def encode(image_u8: Image, kind: str, metadata: Metadata | None = None) -> bytes:
    """Encode a result.

    Args:
        image_u8: (H, W, 3) uint8, sRGB.
        kind: key of ENCODERS.
        metadata: what the file carries; EXIF too long for a JPEG segment is left out. `profiled` attaches sRGB.

    Raises:
        UnknownName: there is no such encoder.
        ValueError: a side is longer than the format can say.
    """
    name, options = lookup(ENCODERS, kind, kind="output format")
    if max(image_u8.shape[:2]) > _SIDE_PX[kind]:
        raise ValueError(f"Expected sides up to {_SIDE_PX[kind]} px for {kind}, got {image_u8.shape[:2]}. Choose png.")
    extra: dict[str, Any] = {}
    if metadata is not None and 0 < len(metadata.exif) <= _JPEG_SEGMENT_BYTES:
        extra["exif"] = metadata.exif
    if metadata is not None and metadata.profiled:
        extra["icc_profile"] = colour.srgb_profile()
    return _saved(image_u8, name, {**options, **extra})


def _saved(image_u8: Image, name: str, options: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(image_u8).save(buffer, name, **options)
    return buffer.getvalue()
