"""Pictures with 16 bits a channel, which Pillow rounds to 8: read through OpenCV, written by hand.

OpenCV is asked for the pixels only after Pillow has found the file whole, and believed only where its high bytes are
what Pillow saw: two decoders that disagree mean 8 bits, never a wrong picture.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

Levels = npt.NDArray[np.uint16]

WHITE = 65_535
_BITS_PER_SAMPLE, _EXTRA_SAMPLES = 258, 338
_PREMULTIPLIED = 1
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""Channels -> colour type of a PNG header."""
_PIECE_BYTES = 1 << 20
_ROUNDING_LEVELS = 2
"""How far the high bytes may be apart, of 255; alpha that is multiplied in is rounded twice."""


def read(image: PIL.Image.Image, data: bytes) -> Levels | None:
    """Read grey or colour with more than 8 bits, and its alpha.

    Args:
        image: the loaded picture.
        data: content of its file.

    Returns:
        (H, W, 1 to 4): grey, grey and alpha, RGB, RGB and alpha, scaled to 65535 for white, alpha not multiplied in,
        turned as Pillow's is; None for a picture of 8 bits, and where the two decoders disagree.
    """
    if image.mode.startswith("I;16"):
        levels = _grey(image)
    elif image.mode in {"RGB", "RGBA"} and _is_deep(image, data):
        found = _colour(image, data)
        if found is None:
            return None
        levels = found[..., [0, 3]] if image.format == "PNG" and data[25] == _COLOUR_TYPES[2] else found
    else:
        return None
    keyed = image.info.get("transparency")
    if keyed is None or isinstance(keyed, bytes) or levels.shape[2] in {2, 4}:
        return levels
    visible = (levels != np.asarray(keyed)).any(axis=2, keepdims=True)  # a colour that means transparent
    return np.concatenate([levels, visible.astype(np.uint16) * np.uint16(WHITE)], axis=2)


def png(levels: Levels, *, icc: bytes = b"", exif: bytes = b"") -> bytes:
    """Write a 16-bit PNG; equal pixels give equal bytes (PNG, third edition, sections 5, 7, 9, 11.3).

    Args:
        levels: (H, W, 1 to 4), channels as `read` gives them.
        icc: colour profile; empty for none.
        exif: EXIF block with its `Exif` header; empty for none.
    """
    height, width, channels = levels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0)
    chunks = [(b"IHDR", header)]
    if icc:
        chunks.append((b"iCCP", b"ICC profile\x00\x00" + zlib.compress(icc)))
    if exif:
        chunks.append((b"eXIf", exif.removeprefix(b"Exif\x00\x00")))
    chunks += [(b"IDAT", piece) for piece in _compressed(levels)] + [(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def _compressed(levels: Levels) -> Iterator[bytes]:
    """Rows, each byte less that of the pixel to its left (filter 1), in pieces."""
    pixel_bytes = 2 * levels.shape[2]
    packer, ready = zlib.compressobj(6), b""
    for row in levels:
        raw = row.astype(">u2").reshape(-1).view(np.uint8)
        raw[pixel_bytes:] = raw[pixel_bytes:] - raw[:-pixel_bytes]
        ready += packer.compress(b"\x01" + raw.tobytes())
        if len(ready) >= _PIECE_BYTES:
            yield ready
            ready = b""
    yield ready + packer.flush()


def _is_deep(image: PIL.Image.Image, data: bytes) -> bool:
    if image.format == "PNG":
        return data[24] == 16
    bits = image.tag_v2.get(_BITS_PER_SAMPLE, ()) if hasattr(image, "tag_v2") else ()
    return len(bits) > 0 and set(bits) == {16}


def _grey(image: PIL.Image.Image) -> Levels:
    """Scale by the declared depth."""
    bits = int(image.tag_v2.get(_BITS_PER_SAMPLE, (16,))[0]) if hasattr(image, "tag_v2") else 16
    white = (1 << bits) - 1
    levels = np.asarray(image).astype(np.uint64)[..., None]
    return np.minimum((levels * WHITE + white // 2) // white, WHITE).astype(np.uint16)


def _colour(image: PIL.Image.Image, data: bytes) -> Levels | None:
    """RGB or RGBA, as OpenCV reads it, without its remarks, and Pillow confirms it."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        bare = _bare_png(data) if image.format == "PNG" else data
        found = cv2.imdecode(np.frombuffer(bare, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    finally:
        cv2.utils.logging.setLogLevel(level)
    if found is None or found.dtype != np.uint16 or found.ndim != 3 or found.shape[2] < len(image.mode):
        return None
    return _agreed(found[..., [2, 1, 0, 3][: len(image.mode)]], image)


def _bare_png(data: bytes) -> bytes:
    """Header, pixels and end alone: about the other chunks libpng writes to the error stream."""
    kept, position = [data[:8]], 8
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        if data[position + 4 : position + 8] in {b"IHDR", b"IDAT", b"IEND"}:
            kept.append(data[position : position + 12 + length])
        position += 12 + length
    return b"".join(kept)


def _agreed(levels: Levels, image: PIL.Image.Image) -> Levels | None:
    """The levels, alpha not multiplied in, if their high bytes are what Pillow saw."""
    seen: npt.NDArray[np.uint8] = np.asarray(image)
    if levels.shape != seen.shape:
        return None
    whole = levels
    extra = image.tag_v2.get(_EXTRA_SAMPLES, ()) if hasattr(image, "tag_v2") else ()
    if levels.shape[2] == 4 and extra and extra[0] == _PREMULTIPLIED:
        multiplied = (seen[..., :3].astype(np.uint16) * seen[..., 3:] // 255).astype(np.uint8)
        seen = np.concatenate([multiplied, seen[..., 3:]], axis=2)
        alpha = np.maximum(levels[..., 3:].astype(np.uint64), 1)
        straight = np.minimum((levels[..., :3] * np.uint64(WHITE) + alpha // 2) // alpha, WHITE).astype(np.uint16)
        whole = np.concatenate([straight, levels[..., 3:]], axis=2)
    return whole if cv2.absdiff((levels >> 8).astype(np.uint8), seen).max() <= _ROUNDING_LEVELS else None
