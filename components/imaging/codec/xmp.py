"""The XMP packet of a file: what a result keeps of its source's, and the mark that a trained model edited the picture.

Packets are put into encoded files as bytes; pixels and every other chunk stay as they are. Sources: XMP (ISO 16684-1),
its places in files (XMP part 3: JPEG APP1, PNG iTXt, WebP chunk `XMP `), IPTC's digital source types.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

import PIL.Image

EDITED_BY_MODEL = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC: a photo edited by a trained model."""

_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_JPEG_HEADER = b"http://ns.adobe.com/xap/1.0/\x00"
_PNG_HEADER = b"XML:com.adobe.xmp\x00\x00\x00\x00\x00"
_SEGMENT_BYTES = 65_533
_LONGEST_BYTES = 4 << 20
"""Longer packets are not carried."""
_TIFF_TAG = 700
_ALPHA_FLAG, _XMP_FLAG = 0x10, 0x04
_RDF = '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF>'
_EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{_RDF}</x:xmpmeta><?xpacket end="w"?>'
)
_ORIENTATION = re.compile(r"(<(?P<n>[\w.-]+):Orientation\s*>|[\w.-]+:Orientation\s*=\s*[\"'])\s*[1-8]\s*")


def carried(image: PIL.Image.Image) -> bytes:
    """Read the packet of an opened file, with orientation 1, because results are upright; empty where there is none.

    A packet that is no well-formed XML, or declares entities, is left out.
    """
    found: Any = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if found is None and hasattr(image, "tag_v2"):
        found = image.tag_v2.get(_TIFF_TAG)
    data = found.encode() if isinstance(found, str) else found
    if not isinstance(data, bytes) or len(data) > _LONGEST_BYTES:
        return b""
    text = _text(data.rstrip(b"\x00"))
    return _ORIENTATION.sub(lambda match: f"{match.group(1)}1", text).encode() if text else b""


def marked(packet: bytes) -> bytes:
    """Say in a packet that a trained model edited the picture; everything else that it says stays.

    Args:
        packet: as `carried` gives it; empty for none.
    """
    text = _text(packet) or _EMPTY
    for prefix in re.findall(rf"xmlns:([\w.-]+)\s*=\s*[\"']{re.escape(_IPTC)}[\"']", text):
        name = f"{re.escape(prefix)}:DigitalSourceType"
        text = re.sub(rf"\s+{name}\s*=\s*(\"[^\"]*\"|'[^']*')", "", text)
        text = re.sub(rf"<{name}\b[^>]*/>|<{name}\b[^>]*[^/>]?>.*?</{name}\s*>", "", text, flags=re.DOTALL)
    text = _with_room(text)
    end = list(re.finditer(r"</(?P<rdf>[\w.-]+):RDF\s*>", text))
    if not end:
        return marked(_EMPTY.encode())
    rdf, about = end[-1]["rdf"], re.search(r":about\s*=\s*(\"[^\"]*\"|'[^']*')", text)
    said = (
        f'<{rdf}:Description {rdf}:about={about.group(1) if about else chr(34) * 2} xmlns:Iptc4xmpExt="{_IPTC}" '
        f'Iptc4xmpExt:DigitalSourceType="{EDITED_BY_MODEL}"/>'
    )
    return f"{text[: end[-1].start()]}{said}{text[end[-1].start() :]}".encode()


def _with_room(text: str) -> str:
    """The same packet with an element for descriptions, where only the one around it is there."""
    text = re.sub(r"<([\w.-]+:(?:RDF|xmpmeta|xapmeta))\b([^>]*)/>", r"<\1\2></\1>", text)
    if re.search(r"</[\w.-]+:RDF\s*>", text):
        return text
    return re.sub(r"(</[\w.-]+:(?:xmpmeta|xapmeta)\s*>)", lambda match: f"{_RDF}{match.group(1)}", text)


def embed(encoded: bytes, packet: bytes) -> bytes:
    """Put a packet into an encoded file that has none.

    Args:
        encoded: JPEG, PNG or WebP.
        packet: XMP; empty leaves the file as it is. One too long for a JPEG segment is replaced by a bare mark if it has one.
    """
    if not packet:
        return encoded
    if encoded[:2] == b"\xff\xd8":
        return _into_jpeg(encoded, packet)
    return _into_webp(encoded, packet) if encoded[:4] == b"RIFF" else _into_png(encoded, packet)


def _text(packet: bytes) -> str:
    """The packet as text; empty where it is not well-formed, not UTF-8, or declares a document type."""
    try:
        text = packet.decode("utf-8-sig")
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = _refuse
        parser.Parse(text.strip().encode(), True)  # noqa: FBT003 (its only form)
    except (UnicodeDecodeError, expat.ExpatError, ValueError):
        return ""
    return text


def _refuse(*_: object) -> None:
    raise ValueError("a packet has no document type")


def _into_jpeg(encoded: bytes, packet: bytes) -> bytes:
    """After the JFIF and EXIF segments, which readers expect first."""
    if len(_JPEG_HEADER) + len(packet) > _SEGMENT_BYTES:
        return _into_jpeg(encoded, marked(b"")) if EDITED_BY_MODEL.encode() in packet else encoded
    position = 2
    while encoded[position : position + 2] == b"\xff\xe0" or (
        encoded[position : position + 2] == b"\xff\xe1" and encoded[position + 4 : position + 8] == b"Exif"
    ):
        position += 2 + int.from_bytes(encoded[position + 2 : position + 4], "big")
    body = _JPEG_HEADER + packet
    return encoded[:position] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + encoded[position:]


def _into_png(encoded: bytes, packet: bytes) -> bytes:
    """Before the pixels."""
    position = 8
    while encoded[position + 4 : position + 8] != b"IDAT":
        position += 12 + int.from_bytes(encoded[position : position + 4], "big")
    content = b"iTXt" + _PNG_HEADER + packet
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return encoded[:position] + chunk + encoded[position:]


def _into_webp(encoded: bytes, packet: bytes) -> bytes:
    """At the end; the simple form becomes the extended one, which says that there is more than pixels (RFC 9649, 2.7)."""
    chunks = list(_webp_chunks(encoded))
    if chunks[0][0] != b"VP8X":
        chunks.insert(0, (b"VP8X", _webp_canvas(*chunks[0])))
    flags = chunks[0][1]
    chunks[0] = (b"VP8X", bytes([flags[0] | _XMP_FLAG]) + flags[1:])
    chunks.append((b"XMP ", packet))
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(content)) + content + b"\x00" * (len(content) % 2) for name, content in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_chunks(encoded: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    while position + 8 <= len(encoded):
        length = int.from_bytes(encoded[position + 4 : position + 8], "little")
        yield encoded[position : position + 4], encoded[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _webp_canvas(name: bytes, content: bytes) -> bytes:
    """Content of the extended header of a simple file."""
    if name == b"VP8L":
        sides = int.from_bytes(content[1:5], "little")
        width_1, height_1, flags = sides & 0x3FFF, sides >> 14 & 0x3FFF, _ALPHA_FLAG * (sides >> 28 & 1)
    else:
        width_1 = (int.from_bytes(content[6:8], "little") & 0x3FFF) - 1
        height_1 = (int.from_bytes(content[8:10], "little") & 0x3FFF) - 1
        flags = 0
    return bytes([flags, 0, 0, 0]) + width_1.to_bytes(3, "little") + height_1.to_bytes(3, "little")
