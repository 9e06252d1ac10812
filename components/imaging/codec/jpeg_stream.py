"""What a JPEG stream says about itself, where the decoder keeps silent.

libjpeg fills what a scan lacks with constant blocks and only warns; Pillow drops the warning. Bytes that are
added to the end of the last scan change nothing in a whole picture and are decoded in a cut one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_BASELINE = frozenset({0xC0, 0xC1})
_SOS, _EOI = 0xDA, 0xD9
_COEFFICIENTS = 64
_BAIT = bytes(range(1, 250, 3)) * 2


@dataclass
class Stream:
    """Frame header of the first picture, its scans, and where the last of them ends."""

    precision_bits: int = 0
    """8 in almost every file; 0 without a frame header."""
    components: int = 0
    progressive: bool = False
    baseline: bool = False
    """Sequential with Huffman codes."""
    scan_end: int = 0
    """Offset just after the last byte of the last scan; 0 without a scan."""
    finished: dict[int, set[int]] = field(default_factory=dict)
    """Component -> coefficients that a scan has given to the last bit."""

    @property
    def complete(self) -> bool:
        """Whether the scans give every coefficient to its last bit, as encoders do unless they are cut off."""
        done = [len(given) == _COEFFICIENTS for given in self.finished.values()]
        return not self.progressive or (len(done) == self.components and all(done))


def too_short(data: bytes, pixels: int) -> bool:
    """Say whether a baseline file has too few bytes: an 8x8 block takes at least one bit for DC and one for the end."""
    return pixels > _COEFFICIENTS // 2 * 8 * len(data) and read(data).baseline


def read(data: bytes) -> Stream:
    """Walk the markers up to the end of the first picture; never fails on a broken file."""
    stream, position = Stream(), 2
    while found := _MARKER.search(data, position):
        marker, position = data[found.end() - 1], found.end()
        if marker == _EOI and stream.scan_end:
            break
        length = int.from_bytes(data[position : position + 2], "big")
        segment = data[position + 2 : position + length]
        position += max(2, length)
        if marker in _SOF and len(segment) > 5:
            stream.precision_bits, stream.components = segment[0], segment[5]
            stream.progressive, stream.baseline = marker in _PROGRESSIVE, marker in _BASELINE
        elif marker == _SOS:
            _add_scan(stream, segment)
            following = _MARKER.search(data, position)
            stream.scan_end = following.start() if following else len(data)
    return stream


def baited(data: bytes, stream: Stream) -> bytes:
    """Add bytes to the last scan that only a decoder which still misses blocks will use."""
    return data[: stream.scan_end] + _BAIT + data[stream.scan_end :]


def _add_scan(stream: Stream, segment: bytes) -> None:
    """Note what one scan header promises (ITU-T T.81, B.2.3)."""
    if len(segment) < 4 or len(segment) < 4 + 2 * segment[0]:
        return
    first, last, precision = segment[-3:]
    for component in segment[1 : 1 + 2 * segment[0] : 2]:
        given = stream.finished.setdefault(component, set())
        if precision & 0x0F == 0:
            given.update(range(first, min(last, _COEFFICIENTS - 1) + 1))
