"""The anchors' stand-in for JPEG, which can be differentiated: Real-ESRGAN's and DreamClear's, for comparison with the real one.

What it has of JPEG (ITU-T T.81): JFIF colours, 4:2:0 by means and repetition, the cosine transform of A.3.3, quantisation by the
tables K.1 and K.2 as libjpeg scales them. What differs, as theirs does: only coefficients are rounded, neither levels nor scaled
table entries; qualities are fractions; the luma table is transposed; and the picture is padded with black to whole
blocks of 16. Sums have one fixed order and no fused multiply-add, so that the bytes are the same everywhere.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from components.imaging.degrade.carrier import Pixels
from components.records import Record

SIDE_PX = 8
LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""ITU-T T.81, table K.1."""
CHROMA = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))
"""ITU-T T.81, table K.2; every other entry is 99."""
_GRID = 2.0**-24

Plane = npt.NDArray[np.float32]


class AnchorJpeg(Record):
    """Compression of one recipe as the anchors imitate it."""

    kind: Literal["anchor_jpeg"] = "anchor_jpeg"
    quality: Annotated[float, Field(ge=1, le=99)]
    """libjpeg's scale, with fractions."""


def anchor_jpeg(image: Pixels, step: AnchorJpeg, size_px: tuple[int, int]) -> Pixels:
    """Quantise the coefficients of the blocks.

    Args:
        image: (H, W, 3) float32, 0..255; what is outside is clipped.
        step: its quality.
        size_px: not used.
    """
    del size_px
    height, width = image.shape[:2]
    padded = np.pad(np.clip(image, 0, 255), ((0, -height % 16), (0, -width % 16), (0, 0)))
    red, green, blue = (padded[..., channel] for channel in range(3))
    luma = _mixed((0.299, red), (0.587, green), (0.114, blue))
    colours = (
        _mixed((-0.168736, red), (-0.331264, green), (0.5, blue)),
        _mixed((0.5, red), (-0.418688, green), (-0.081312, blue)),
    )
    luma_table, chroma_table = _tables()
    scale = 50 / step.quality if step.quality < 50 else 2 - step.quality / 50
    light = _quantised(luma - np.float32(128), luma_table * np.float32(scale)) + np.float32(128)
    blueness, redness = (_repeated(_quantised(_averaged(one), chroma_table * np.float32(scale))) for one in colours)
    channels = (
        _mixed((1, light), (1.402, redness)),
        _mixed((1, light), (-0.344136, blueness), (-0.714136, redness)),
        _mixed((1, light), (1.772, blueness)),
    )
    result: Pixels = np.clip(np.stack(channels, axis=-1)[:height, :width], 0, 255)
    return result


def _mixed(*parts: tuple[float, Plane]) -> Plane:
    """Weighted sum, from left to right."""
    total: Plane = np.float32(parts[0][0]) * parts[0][1]
    for weight, plane in parts[1:]:
        total = total + np.float32(weight) * plane
    return total


def _averaged(plane: Plane) -> Plane:
    """Mean of each 2x2 block."""
    result: Plane = ((plane[::2, ::2] + plane[::2, 1::2]) + (plane[1::2, ::2] + plane[1::2, 1::2])) * np.float32(0.25)
    return result


def _repeated(plane: Plane) -> Plane:
    return plane.repeat(2, axis=0).repeat(2, axis=1)


def _quantised(plane: Plane, table: Plane) -> Plane:
    """Transform every block, round each coefficient to a multiple of its table entry, half to even, and transform back."""
    blocks = plane.reshape(plane.shape[0] // SIDE_PX, SIDE_PX, -1, SIDE_PX)
    cosines, entries = _cosines(), table[:, None, :]
    coefficients = _transformed(_transformed(blocks, cosines, 1), cosines, 3)
    whole = np.rint(coefficients / entries) * entries
    return _transformed(_transformed(whole, cosines.T, 1), cosines.T, 3).reshape(plane.shape)


def _transformed(blocks: Plane, matrix: Plane, axis: int) -> Plane:
    """Multiply one axis of the blocks by a matrix; a library's product would choose the order of the sum."""
    lines = np.moveaxis(blocks, axis, 0)
    rows = [_mixed(*((float(weight), line) for weight, line in zip(row, lines, strict=True))) for row in matrix]
    return np.stack(rows, axis=axis)


@cache
def _cosines() -> Plane:
    """C(u) / 2 cos((2 x + 1) u pi / 16), row u, column x, on a grid that hides a processor's cos."""
    exact = [
        [math.sqrt(1 / 8 if u == 0 else 1 / 4) * math.cos((2 * x + 1) * u * math.pi / 16) for x in range(SIDE_PX)]
        for u in range(SIDE_PX)
    ]
    return (np.rint(np.array(exact) / _GRID) * _GRID).astype(np.float32)


@cache
def _tables() -> tuple[Plane, Plane]:
    """Luma's table, transposed, and chroma's, which is its own transpose."""
    chroma = np.full((SIDE_PX, SIDE_PX), 99, np.float32)
    chroma[:4, :4] = CHROMA
    return np.array(LUMA, np.float32).T, chroma
