"""From the bytes of a file to pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageFile

from components.errors import DecodeError
from components.imaging.codec import colour, frames, jpeg_stream
from components.imaging.codec.opening import Limits, check_size, opened

Image = npt.NDArray[np.uint8]
"""(H, W, 3) RGB, 0..255; (H, W) for luma."""

DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Picture:
    """A decoded picture."""

    image_u8: Image
    """(H, W, 3) RGB, sRGB, upright."""
    format: str
    """By content, not by suffix: jpeg, png, webp, tiff, bmp, gif, avif or heif."""
    width_px: int
    """After EXIF orientation."""
    height_px: int
    """After EXIF orientation."""
    frames: int = 1
    """Frames or pages that the file holds, of which this is the first; see `frames.count`."""


def decode(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Picture:
    """Decode a whole file.

    16 bits are scaled to 8; palettes, grey, CMYK and Lab become RGB; an ICC profile is converted to sRGB (one
    that cannot be read is ignored); an animation gives its first frame; transparency is laid on white.

    Args:
        data: content of the file.
        limits: what is accepted.

    Raises:
        DecodeError: with one of REASONS.
    """
    with opened(data, limits) as image:
        kind = load_whole(image, data, limits)
        held = frames.count(image, data)
        image_u8 = _pixels(image)
    return Picture(image_u8, kind, width_px=image_u8.shape[1], height_px=image_u8.shape[0], frames=held)


def luma(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Image:
    """Decode to grey: the luma channel of a JPEG, for everything else BT.601 of `decode`'s pixels as OpenCV rounds it.

    A CMYK JPEG belongs to everything else. 16 bits, palettes, colour profiles and transparency count as `decode` shows them;
    of a grey picture luma is the grey itself.

    Args:
        data: content of the file.
        limits: what is accepted.

    Returns:
        (H, W) uint8, upright. A JPEG's colour profile is not applied, and cut colour scans are not noticed.

    Raises:
        DecodeError: with one of REASONS.
    """
    with opened(data, limits) as image:
        if _kind(image) == "jpeg" and image.mode in {"RGB", "L"}:
            image.draft("L", image.size)
            luma_u8: Image = np.empty((image.height, image.width), np.uint8)
            # Pillow decodes into the array; to decode and then copy would cost a tenth more
            image.im = PIL.Image.core.map_buffer(luma_u8, image.size, "raw", 0, ("L", 0, 1))  # type: ignore[attr-defined]
            load_whole(image, data, limits)
            luma_u8 = colour.upright_array(luma_u8, image)
        else:
            load_whole(image, data, limits)
            luma_u8 = cv2.cvtColor(_pixels(image), cv2.COLOR_RGB2GRAY)
    return luma_u8


def identify(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> str:
    """Name the format by the header alone, as `decode` would; a file that breaks further on is not noticed.

    Raises:
        DecodeError: with one of REASONS; nothing that has none decodes.
    """
    with opened(data, limits) as image:
        return _kind(image)


def size_px(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> tuple[int, int]:
    """Height and width by the header alone, of the upright picture as `decode` gives it.

    Raises:
        DecodeError: with one of REASONS.
    """
    with opened(data, limits) as image:
        return (image.width, image.height) if colour.on_its_side(image) else (image.height, image.width)


def load_whole(image: PIL.Image.Image, data: bytes, limits: Limits) -> str:
    """Load the pixels of an opened file, refuse half a picture, and name the format."""
    kind = _kind(image)
    if kind == "jpeg":
        assert isinstance(image, PIL.ImageFile.ImageFile)
        image.decodermaxblock = len(data)  # libjpeg is slow near the end of each block that it is handed
    image.load()
    if kind == "heif":
        check_size(image.size, limits)  # its decoder may find another size than the header's
    if kind == "jpeg":
        _check_end(image, data, limits)
    return kind


def _pixels(image: PIL.Image.Image) -> Image:
    """8-bit sRGB, upright, of a loaded picture."""
    return np.array(colour.upright(colour.to_srgb(image), image))


def _kind(image: PIL.Image.Image) -> str:
    """Name the format; a JPEG with further pictures inside is a JPEG."""
    return {"MPO": "jpeg"}.get(image.format or "", (image.format or "").lower())


def _check_end(image: PIL.Image.Image, data: bytes, limits: Limits) -> None:
    """Refuse a JPEG whose scans are missing or stop early although its end marker is there.

    libjpeg fills the rest with constant blocks. Where the last block is constant, the file is decoded again
    with more bytes in its last scan: only a decoder that lacks blocks uses them.
    """
    width, height = image.size
    if jpeg_stream.too_short(data, width * height):
        raise DecodeError("truncated", f"{len(data)} bytes cannot fill {width}x{height} px")
    last = image.crop(((width - 1) // 8 * 8, (height - 1) // 8 * 8, width, height))
    constant = all(high - low <= 1 for low, high in np.reshape(last.getextrema(), (-1, 2)))
    if not constant and "progressive" not in image.info:
        return
    stream = jpeg_stream.read(data)
    if not stream.complete:
        raise DecodeError("truncated", "the file ends before the scans that its pixels need")
    if not constant:
        return
    with opened(jpeg_stream.baited(data, stream), limits.model_copy(update={"max_bytes": 2 * len(data) + 4096})) as again:
        again.draft(image.mode, image.size)
        whole = np.array_equal(np.asarray(again), np.asarray(image))
    if not whole:
        raise DecodeError("truncated", "the scans stop before the picture is full")
