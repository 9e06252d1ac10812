"""How many frames or pages a file holds, by its headers alone.

GIF and TIFF do not say; there the blocks or folders are counted, without their pixels and only up to a limit, because
Pillow's own count would parse everything that a hostile file lists.
"""

from __future__ import annotations

import struct

import PIL.Image

MOST = 65_535
"""Where counting stops, and the largest count that a header is believed."""
_MOST_BLOCKS = 1 << 20
"""Blocks of a GIF that are walked; 255 MiB of frames at their usual size."""
_GIF_TABLE, _GIF_TABLE_SIZE = 0x80, 0x07
_GIF_IMAGE, _GIF_EXTENSION, _GIF_TRAILER = 0x2C, 0x21, 0x3B


def count(image: PIL.Image.Image, data: bytes) -> int:
    """Count the frames or pages of an opened file.

    The pictures that a JPEG has beside its own (previews, gain maps, the other eye) are no frames of it.

    Args:
        image: the opened picture.
        data: content of its file.

    Returns:
        1 for a still, MOST for more than can be known cheaply; of a cut file, what is there.
    """
    if image.format in {"JPEG", "MPO"}:
        return 1
    if image.format == "GIF":
        found = _gif(data)
    elif image.format == "TIFF":
        found = _tiff(data)
    else:
        found = int(getattr(image, "n_frames", 1))
    return min(max(found, 1), MOST)


def _gif(data: bytes) -> int:
    """Walk the blocks (GIF89a, sections 12 to 27); as in Pillow, what is no block is stepped over."""
    found, position, inside = 0, 13 + _table_bytes(data, 10), False
    for _ in range(_MOST_BLOCKS):
        if position >= len(data):
            return found
        byte = data[position]
        if inside:
            position += byte + 1
            inside = byte > 0
        elif byte == _GIF_IMAGE:
            found += 1
            position += 11 + _table_bytes(data, position + 9)
            inside = True
        elif byte == _GIF_EXTENSION:
            position += 2
            inside = True
        elif byte == _GIF_TRAILER:
            return found
        else:
            position += 1
    return MOST


def _table_bytes(data: bytes, position: int) -> int:
    """Size of the colour table that a packed byte declares."""
    packed = data[position] if position < len(data) else 0
    return 3 << (packed & _GIF_TABLE_SIZE) + 1 if packed & _GIF_TABLE else 0


def _tiff(data: bytes) -> int:
    """Follow the chain of folders (TIFF 6.0, section 2); one that bites its tail ends there."""
    order = "<" if data[:2] == b"II" else ">"
    seen: set[int] = set()
    try:
        (position,) = struct.unpack_from(f"{order}I", data, 4)
        while position and position not in seen and len(seen) < MOST:
            (entries,) = struct.unpack_from(f"{order}H", data, position)
            seen.add(position)
            (position,) = struct.unpack_from(f"{order}I", data, position + 2 + 12 * entries)
    except struct.error:
        pass
    return len(seen)
