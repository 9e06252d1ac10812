"""Chroma subsampling: colour kept at a lower resolution than light, as video and its stills have it.

BT.601 in full range (JFIF 1.02) with 16-bit fixed weights, block averages and either repeated or linearly interpolated chroma:
whole numbers throughout, so that the bytes are the same everywhere. Nothing is quantised beyond 8 bits; that is the codecs' part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from components.imaging.degrade.carrier import Pixels, to_image, to_pixels
from components.records import Record

Layout = Literal["4:2:2", "4:2:0", "4:1:1", "4:1:0"]
BLOCKS: Mapping[Layout, tuple[int, int]] = {"4:2:2": (1, 2), "4:2:0": (2, 2), "4:1:1": (1, 4), "4:1:0": (4, 4)}
"""Rows and columns of pixels that share one colour, which is that of their middle."""
Upsampling = Literal["repeated", "linear"]

_BITS = 16
_HALF = 1 << (_BITS - 1)
_MIDDLE = 128 << _BITS
Numbers = npt.NDArray[np.int32]


class Chroma(Record):
    """Subsampling of one recipe."""

    kind: Literal["chroma"] = "chroma"
    layout: Layout
    upsampling: Upsampling
    """How the missing colours are made."""


def chroma(image: Pixels, step: Chroma, size_px: tuple[int, int]) -> Pixels:
    """Round to 8 bits, average the colour over blocks, and enlarge it again.

    Args:
        image: (H, W, 3) float32, 0..255.
        step: layout and interpolation.
        size_px: not used.
    """
    del size_px
    red, green, blue = np.moveaxis(to_image(image).astype(np.int32), -1, 0)
    luma = (19595 * red + 38470 * green + 7471 * blue + _HALF) >> _BITS
    colours = (
        (-11059 * red - 21709 * green + 32768 * blue + _MIDDLE + _HALF - 1) >> _BITS,
        (32768 * red - 27439 * green - 5329 * blue + _MIDDLE + _HALF - 1) >> _BITS,
    )
    blue_less, red_less = (_enlarged(_averaged(one, BLOCKS[step.layout]), step, luma.shape) - 128 for one in colours)
    channels = (
        luma + ((91881 * red_less + _HALF) >> _BITS),
        luma - ((22554 * blue_less + 46802 * red_less + _HALF) >> _BITS),
        luma + ((116130 * blue_less + _HALF) >> _BITS),
    )
    return to_pixels(np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8))


def _averaged(values: Numbers, block: tuple[int, int]) -> Numbers:
    """Mean of each block, half up; the last row and column are repeated to fill theirs."""
    rows, columns = block
    height, width = values.shape
    padded = np.pad(values, ((0, -height % rows), (0, -width % columns)), mode="edge")
    sums = padded.reshape(padded.shape[0] // rows, rows, -1, columns).sum(axis=(1, 3), dtype=np.int32)
    means: Numbers = (sums + rows * columns // 2) // (rows * columns)
    return means


def _enlarged(values: Numbers, step: Chroma, shape: tuple[int, ...]) -> Numbers:
    """Give every pixel of (H, W) its colour."""
    for axis, times in enumerate(BLOCKS[step.layout]):
        if times == 1:
            continue
        values = values.repeat(times, axis=axis) if step.upsampling == "repeated" else _between(values, times, axis)
    return values[: shape[0], : shape[1]]


def _between(values: Numbers, times: int, axis: int) -> Numbers:
    """Interpolate linearly between the middles of the blocks, to the nearest whole number."""
    # a pixel lies an odd number of half pixels from the block's middle
    places = 2 * np.arange(values.shape[axis] * times) + 1 - times
    first, weights = places // (2 * times), places % (2 * times)
    last = values.shape[axis] - 1
    weights = weights if axis else weights[:, None]
    one = values.take(np.clip(first, 0, last), axis=axis)
    two = values.take(np.clip(first + 1, 0, last), axis=axis)
    mixed: Numbers = ((one * (2 * times - weights) + two * weights + times) // (2 * times)).astype(np.int32)
    return mixed
