"""Looking at the content of an answer before anything decodes it."""

from __future__ import annotations

import zlib

from components.errors import DecodeError
from components.imaging import codec

SIGNATURE_BYTES = 16
"""What tells a picture from something else, in every format that is decoded here."""


def require_picture(data: bytearray) -> bool:
    """Refuse what does not start like a picture, or say yes; what breaks further on is the decoder's to say."""
    try:
        codec.identify(bytes(data[:SIGNATURE_BYTES]))
    except DecodeError as error:
        if error.reason == "not_an_image":
            raise DecodeError("wrong_type", f"starts with {bytes(data[:8])!r}") from error
    return True


def unpacked(data: bytearray, max_bytes: int) -> bytearray:
    """Unpack gzip or deflate, which was not asked for, up to the limit and not a byte further."""
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        plain = stream.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise DecodeError("wrong_type", f"not packed as announced: {error}") from error
    if len(plain) > max_bytes:
        raise DecodeError("too_many_bytes", f"unpacked; at most {max_bytes} (ingest.urls.max_bytes)")
    if not stream.eof:
        raise DecodeError("cut", "the packed content has no end")
    return bytearray(plain)
