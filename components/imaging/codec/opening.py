"""Opening a file: limits before pixels, and one word for whatever goes wrong."""

from __future__ import annotations

import functools
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import PIL.Image
from pydantic import Field

from components.errors import DecodeError
from components.imaging.codec import chatter, jpeg_stream
from components.records import Settings

REASONS: Mapping[str, str] = {
    "empty_file": "no bytes",
    "too_many_bytes": "more bytes than the limit",
    "too_many_pixels": "more pixels, or a longer side, than the limit",
    "not_an_image": "no signature of a picture format",
    "unsupported_format": "a picture, of a format or depth that is not decoded here",
    "truncated": "the end is missing",
    "corrupt": "the content contradicts itself",
    "out_of_memory": "the decoder could not get the memory it asked for",
    "too_slow": "the decoder used up its time and was ended with its process",
    "decoder_crashed": "the decoder took its process with it",
}
"""Every verdict of the decoder, and what it means; the last two come from whoever watches its process."""

DECODED = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
"""Formats that are opened, beside HEIF where its library is there; no other decoder is even tried."""

_JPEG = b"\xff\xd8"
_SUPPORTED = (_JPEG, b"\x89PNG", b"II*\x00", b"MM\x00*", b"BM", b"GIF8")
_UNSUPPORTED = (b"8BPS", b"\x00\x00\x00\x0cJXL ", b"\xff\x0a", b"\x00\x00\x00\x0cjP", b"v/1\x01", b"II+\x00", b"MM\x00+")
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_SAID = {"out_of_memory": ("out of memory", "insufficient memory"), "truncated": ("truncated", "end of file")}
"""What decoders say where they have no exception for it; OpenCV has a code beside `insufficient memory`."""


class Limits(Settings):
    """What is accepted; checked on the header, before pixels are allocated."""

    max_bytes: Annotated[int, Field(gt=0)] = 256 << 20
    """Longest file."""
    max_pixels: Annotated[int, Field(gt=0)] = 64_000_000
    """Largest width times height; beyond 178 million Pillow's own guard refuses."""
    max_side_px: Annotated[int, Field(gt=0)] = 32_768
    """Longest side."""


STORED = Limits(max_bytes=1 << 40, max_pixels=1 << 40, max_side_px=1 << 30)
"""For pictures that ingest let in: its own limits were applied there and are not applied a second time."""


@contextmanager
def opened(data: bytes, limits: Limits) -> Iterator[PIL.Image.Image]:
    """Open within the limits, and turn whatever a decoder raises inside the block into a DecodeError."""
    if not data:
        raise DecodeError("empty_file")
    if len(data) > limits.max_bytes:
        raise DecodeError("too_many_bytes", f"{len(data)} bytes, limit {limits.max_bytes}")
    if _is_webp(data):
        check_size(_webp_size(data), limits)  # libwebp gets memory for the canvas when Pillow opens the file
    _hush()
    try:
        with PIL.Image.open(io.BytesIO(data), formats=(*DECODED, "HEIF") if decodes_heif() else DECODED) as image:
            check_size(image.size, limits)
            if image.format == "TIFF":
                _load_tiff(image)
            yield image
    except DecodeError:
        raise
    except PIL.Image.DecompressionBombError as error:
        raise DecodeError("too_many_pixels", str(error)) from error
    except MemoryError as error:
        raise DecodeError("out_of_memory", str(error)) from error
    except PIL.UnidentifiedImageError as error:
        raise DecodeError(_unidentified(data), f"starts with {data[:8]!r}") from error
    except Exception as error:  # decoders raise a dozen types, from struct.error to SyntaxError
        raise DecodeError(_meaning(str(error)), str(error)) from error


@functools.cache
def decodes_heif() -> bool:
    """Say whether HEIF is decoded: with pillow-heif, which is an extra, because its x265 is under the GPL.

    libheif turns the pixels as the container says, and pillow-heif takes the orientation out of EXIF, so nothing is turned
    twice. Of several pictures the primary one counts. Thumbnails and depth maps are not read.
    """
    try:
        import pillow_heif  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return False
    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    return True


def check_size(size_px: tuple[int, int], limits: Limits) -> None:
    """Refuse a picture with more pixels than are accepted, by what its header says or what was loaded."""
    width, height = size_px
    if width * height > limits.max_pixels or max(width, height) > limits.max_side_px:
        raise DecodeError(
            "too_many_pixels", f"{width}x{height} px, limits {limits.max_pixels} in all and {limits.max_side_px} a side"
        )


def _is_webp(data: bytes) -> bool:
    return (data[:4], data[8:12]) == (b"RIFF", b"WEBP")


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height that the first chunk declares (RFC 9649, sections 2.5 to 2.7); 0 where there is none."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if chunk == b"VP8L":
        sides = int.from_bytes(data[21:25], "little")
        return 1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return 0, 0


def _load_tiff(image: PIL.Image.Image) -> None:
    """Load, and believe libtiff's complaints where Pillow does not."""
    with chatter.overheard() as complaints:
        image.load()
    if complaints:
        raise DecodeError("corrupt", complaints[0])


def _meaning(message: str) -> str:
    """One word for what a decoder says."""
    said = message.lower()
    return next((reason for reason, words in _SAID.items() if any(word in said for word in words)), "corrupt")


def _unidentified(data: bytes) -> str:
    """Tell a broken picture from a foreign one and from no picture at all."""
    if data.startswith(_JPEG) and jpeg_stream.read(data).precision_bits > 8:
        return "unsupported_format"
    if data.startswith(_SUPPORTED) or _is_webp(data):
        return "corrupt"
    if data[4:8] == b"ftyp":
        decoded = data[8:11] == b"avi" or (data[8:12] in _HEIF_BRANDS and decodes_heif())
        return "corrupt" if decoded else "unsupported_format"
    return "unsupported_format" if data.startswith(_UNSUPPORTED) else "not_an_image"


def _hush() -> None:
    """Keep Pillow's remarks about broken files off the screen; the verdict says it."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logger = logging.getLogger("PIL")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
