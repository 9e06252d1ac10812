"""The EXIF block that a restored picture keeps.

Camera, dates, places and maker notes stay byte for byte; orientation becomes 1, because the pixels are upright, and
the embedded thumbnail is unlinked, because it shows the unrestored picture.
"""

from __future__ import annotations

import struct

import PIL.Image

_HEADER = b"Exif\x00\x00"
_ORIENTATION = 0x0112
_SHORT = 3
_EXIF_FOLDER, _GPS_FOLDER = 0x8769, 0x8825
_DESCRIPTIVE = frozenset(
    {0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D}
)
"""Tags that tell about the photo and not about how its file stores it: from ImageDescription to XPAuthor (EXIF 2.32, 4.6)."""


def carried(image: PIL.Image.Image) -> bytes:
    """Read what goes from an opened file to its result; what cannot be read is left out, never an error.

    Formats that keep EXIF among their own tags (TIFF), or as text (old PNG files), get a block of their own that holds
    the descriptive tags and the Exif and GPS folders.

    Args:
        image: picture as it was opened, before anything was converted.

    Returns:
        A block with its `Exif` header; empty for none.
    """
    block = image.info.get("exif")
    if isinstance(block, bytes) and block:
        return upright(block)
    try:
        found, made = image.getexif(), PIL.Image.Exif()
        made.update({tag: value for tag, value in found.items() if tag in _DESCRIPTIVE})
        for folder in (_EXIF_FOLDER, _GPS_FOLDER):
            if entries := found.get_ifd(folder):
                made[folder] = dict(entries)
        return upright(made.tobytes()) if len(made) else b""
    except Exception:  # EXIF of strangers breaks in every way
        return b""


def upright(exif: bytes) -> bytes:
    """Set orientation to 1 and unlink the thumbnail, leaving every other byte in place.

    Args:
        exif: EXIF block with or without its `Exif` header; empty means none.

    Returns:
        The block with its header; empty when it cannot be read.
    """
    body = bytearray(exif.removeprefix(_HEADER))
    order = {b"II": "<", b"MM": ">"}.get(bytes(body[:2]))
    if order is None:
        return b""
    try:
        (start,) = struct.unpack_from(f"{order}I", body, 4)
        (count,) = struct.unpack_from(f"{order}H", body, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            if struct.unpack_from(f"{order}H", body, entry)[0] == _ORIENTATION:
                struct.pack_into(f"{order}HHIHH", body, entry, _ORIENTATION, _SHORT, 1, 1, 0)
        struct.pack_into(f"{order}I", body, start + 2 + 12 * count, 0)
    except struct.error:
        return b""
    return _HEADER + bytes(body)
