"""What a picture is like in a few numbers, to watch whether pictures of tomorrow are like those of yesterday.

None of them says how good a picture is; `blur`, `flat_share` and `megapixels` are those of a curated manifest's rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from components.errors import lookup
from components.imaging import inspection, sharpness
from components.imaging.codec import Image
from components.imaging.inspection.seen import Image01, luma, noise

_DQT, _SOS = 0xDB, 0xDA
_OPPONENT = np.array([[1, -1, 0], [0.5, 0.5, -1]], np.float32)
"""Red against green, yellow against blue."""
_STANDARD = np.array(
    [16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61, 60, 57,
     51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120,
     92, 101, 103, 99]
)  # fmt: skip
"""Luma quantisation of ITU-T T.81, table K.1, in zigzag order."""


@dataclass
class Measured:
    """A picture and the file it came in."""

    image_u8: Image
    file: bytes

    @cached_property
    def luma_u8(self) -> Image:
        """(H, W) uint8."""
        return luma(self.image_u8)

    @cached_property
    def sharpness(self) -> tuple[float, float]:
        """Blur and flat share."""
        return sharpness.score(self.luma_u8)


def _colourfulness(one: Measured) -> float:
    """Hasler and Suesstrunk 2003: spread and distance from grey in two opponent channels; 0 is grey, above 80 vivid."""
    mean, deviation = cv2.meanStdDev(cv2.transform(one.image_u8.astype(np.float32), _OPPONENT))
    return float(np.linalg.norm(deviation) + 0.3 * np.linalg.norm(mean))


def _moments(plane: npt.NDArray[np.generic]) -> tuple[float, float]:
    mean, deviation = cv2.meanStdDev(plane)
    return float(mean[0, 0]), float(deviation[0, 0])


def _piqe(one: Measured) -> float:
    from components.imaging import iqa

    return iqa.score("piqe", [one.image_u8])[0]


STATISTICS: Mapping[str, Callable[[Measured], float]] = {
    "brightness": lambda one: _moments(one.luma_u8)[0],
    "contrast": lambda one: _moments(one.luma_u8)[1],
    "blur": lambda one: one.sharpness[0],
    "flat_share": lambda one: one.sharpness[1],
    "noise": lambda one: noise(one.luma_u8),
    "colourfulness": _colourfulness,
    "megapixels": lambda one: one.luma_u8.size / 1e6,
    "jpeg_quality": lambda one: jpeg_quality(one.file),
    "piqe": _piqe,
}
"""Luma's mean and deviation in levels; blur (variance of the Laplacian) and flat share (paper section 3.4); fine noise in
levels; colourfulness; size; quality of a JPEG, NaN for other files; PIQE, which costs seconds for a large picture."""
CHEAP = tuple(name for name in STATISTICS if name != "piqe")


def measure(picture: Image | Image01, file: bytes = b"", names: Iterable[str] = CHEAP) -> dict[str, float]:
    """Measure a picture; what it has no value for is NaN.

    Args:
        picture: (H, W, 3) RGB, uint8 or float in [0, 1].
        file: bytes it came in, for the quality of a JPEG.
        names: keys of STATISTICS.

    Raises:
        UnknownName: with a suggestion.
    """
    one = Measured(inspection.as_u8(picture), file)
    return {name: float(lookup(STATISTICS, name, kind="statistic")(one)) for name in names}


def jpeg_quality(file: bytes) -> float:
    """Estimate the quality, 1 to 100, on libjpeg's scale from the first quantisation table; NaN where there is none.

    libjpeg scales the standard table by 5000 / q below 50 and by 200 - 2 q from there, and cuts it at 255; what is not
    cut is turned round. An encoder with tables of its own gets the quality of the libjpeg table as coarse as its own.
    """
    table = _luma_table(file)
    if table is None:
        return math.nan
    whole = table < 255
    if not whole.any():
        return 1.0
    percent = 100 * float(table[whole].sum() / _STANDARD[whole].sum())
    quality = (200 - percent) / 2 if percent <= 100 else 5000 / percent
    return min(100.0, max(1.0, quality))


def _luma_table(file: bytes) -> npt.NDArray[np.int64] | None:
    """Table 0 of a JPEG in zigzag order; None for another or a broken file."""
    position = 2
    while (
        file[:2] == b"\xff\xd8"
        and file[position : position + 1] == b"\xff"
        and file[position + 1 : position + 2] != bytes([_SOS])
    ):
        length = int.from_bytes(file[position + 2 : position + 4], "big")
        if file[position + 1 : position + 2] == bytes([_DQT]) and file[position + 4] & 0x0F == 0:
            wide = file[position + 4] >> 4
            values = file[position + 5 : position + 5 + 64 * (1 + wide)]
            return np.frombuffer(values, ">u2" if wide else np.uint8).astype(np.int64) if len(values) == 64 * (1 + wide) else None
        position += 2 + max(2, length)
    return None
