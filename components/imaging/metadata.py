"""What a restored picture keeps of the file that it came from.

EXIF is carried with its maker notes, dates and places; orientation becomes 1, because the pixels are upright,
and the embedded thumbnail is unlinked, because it shows the unrestored picture. Pixels leave the decoder in
sRGB, so a colour profile is carried as an sRGB profile, never as the old one.
"""

from __future__ import annotations

import struct

from components.imaging.codec import Metadata, attached

_HEADER = b"Exif\x00\x00"
_ORIENTATION = 0x0112
_SHORT = 3


def carried(data: bytes) -> Metadata:
    """Read what goes from an input file to its output; a broken part is left out, never an error.

    Args:
        data: bytes of the input file.
    """
    found = attached(data)
    return Metadata(exif=upright(found.exif), profiled=found.profiled)


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
