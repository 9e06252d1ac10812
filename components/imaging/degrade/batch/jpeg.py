"""What JPEG does to a picture, on a device, in libjpeg's integers.

Encoder and decoder without the entropy coding, which loses nothing: colours, 4:2:0 by boxes, 8x8 DCT, quantisation (ITU-T T.81,
annexes A and K; quality scaled as IJG's documentation says), and back with triangular ("fancy") upsampling. This is the
arithmetic of libjpeg(-turbo)'s defaults, the accurate integer DCT among them, so the bytes are the same: all sums are of whole
numbers below 2^53, which float64 holds exactly. A libjpeg with other defaults would not agree.

Shapes: C = 3 channels, H rows, W columns, N blocks of 8x8.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from components.imaging.degrade.batch.carrier import to_image, upload
from components.imaging.degrade.jpeg import Jpeg

SIDE = 8
"""Of a block."""
_HALF, _BITS = 1 << 15, 16
"""Colours are sums in 2^-16."""
_FORWARD_BITS, _BACK_BITS = (11, 15), (11, 18)
"""By which the two passes of the transform and of its inverse are shifted; between them two bits more are kept."""
_FANCY_FROM = 3
"""Columns of chroma; libjpeg repeats the pixels of narrower pictures."""
_LUMA = """
16 11 10 16 24 40 51 61  12 12 14 19 26 58 60 55  14 13 16 24 40 57 69 56  14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77  24 35 55 64 81 104 113 92  49 64 78 87 103 121 120 101  72 92 95 98 112 100 103 99"""
_CHROMA = """
17 18 24 47 99 99 99 99  18 21 26 66 99 99 99 99  24 26 56 99 99 99 99 99  47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99  99 99 99 99 99 99 99 99  99 99 99 99 99 99 99 99  99 99 99 99 99 99 99 99"""
"""Annex K, tables K.1 and K.2."""
_DCT = """
8192 8192 8192 8192 8192 8192 8192 8192  11363 9633 6437 2260 -2260 -6437 -9633 -11363
10703 4433 -4433 -10703 -10703 -4433 4433 10703  9633 -2259 -11362 -6436 6436 11362 2259 -9633
8192 -8192 -8192 8192 8192 -8192 -8192 8192  6437 -11362 2261 9633 -9633 -2261 11362 -6437
4433 -10704 10704 -4433 -4433 10704 -10704 4433  2260 -6436 9633 -11363 11363 -9633 6436 -2260"""
"""Rows of the transform in 2^-13: Loeffler, Ligtenberg and Moschytz (ICASSP 1989) with constants of 13 bits, multiplied out.
It has no rounding inside a pass, so a matrix says all of it; its entries differ by a unit from those of the rounded cosine."""


def jpeg(image_CHW: Tensor, step: Jpeg, size_px: tuple[int, int]) -> Tensor:
    """Round to 8 bits, compress, decompress.

    Args:
        image_CHW: float32, 0..255.
        step: its quality.
        size_px: not used.
    """
    del size_px
    height, width = image_CHW.shape[1:]
    luma, *chroma = _from_rgb(to_image(image_CHW).int())
    luma = _round_trip(_extended(luma, -height % SIDE, -width % SIDE), _table(_LUMA, step.quality))[:height, :width]
    steps = _table(_CHROMA, step.quality)
    blue, red = (_enlarged(_coarse(plane, steps))[:height, :width] for plane in chroma)
    return _to_rgb(luma, blue, red).float()


def _fixed(value: float) -> int:
    return round(value * (1 << _BITS))


def _from_rgb(rgb_CHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Y, Cb and Cr of JFIF, each (H, W) int32, 0..255."""
    red, green, blue = rgb_CHW
    middle = (128 << _BITS) + _HALF - 1
    return (
        (_fixed(0.299) * red + _fixed(0.587) * green + _fixed(0.114) * blue + _HALF) >> _BITS,
        (_HALF * blue - _fixed(0.16874) * red - _fixed(0.33126) * green + middle) >> _BITS,
        (_HALF * red - _fixed(0.41869) * green - _fixed(0.08131) * blue + middle) >> _BITS,
    )


def _to_rgb(luma: Tensor, blue: Tensor, red: Tensor) -> Tensor:
    """(C, H, W) int32, 0..255."""
    blue, red = blue - 128, red - 128
    channels = [
        luma + ((_fixed(1.402) * red + _HALF) >> _BITS),
        luma + ((_HALF - _fixed(0.34414) * blue - _fixed(0.71414) * red) >> _BITS),
        luma + ((_fixed(1.772) * blue + _HALF) >> _BITS),
    ]
    return torch.stack(channels).clamp(0, 255)


def _coarse(plane: Tensor, steps: npt.NDArray[np.float64]) -> Tensor:
    """Halve, (H, W) to (H/2, W/2) rounded up, and compress; boxes round down and up in turns along a row.

    Right of the picture the pixels are repeated before they are halved, below it after.
    """
    height, width = plane.shape
    full = _extended(plane, height % 2, -width % (2 * SIDE))
    sums = full[0::2, 0::2] + full[0::2, 1::2] + full[1::2, 0::2] + full[1::2, 1::2]
    half = (sums + 1 + torch.arange(sums.shape[1], device=plane.device) % 2) >> 2
    made = _round_trip(_extended(half, -half.shape[0] % SIDE, 0).int(), steps)
    return made[: (height + 1) // 2, : (width + 1) // 2]


def _enlarged(plane: Tensor) -> Tensor:
    """Double both sides: three parts of the nearest row or column and one of the next, rounded down and up in turns."""
    if plane.shape[1] < _FANCY_FROM:
        return plane.repeat_interleave(2, 0).repeat_interleave(2, 1)
    padded = F.pad(plane[None, None].double(), (1, 1, 1, 1), mode="replicate")[0, 0].int()
    middle = 3 * padded[1:-1]
    rows = torch.stack([middle + padded[:-2], middle + padded[2:]], dim=1).flatten(0, 1)
    middle = 3 * rows[:, 1:-1]
    columns = [(middle + rows[:, :-2] + 8) >> 4, (middle + rows[:, 2:] + 7) >> 4]
    return torch.stack(columns, dim=2).flatten(1, 2)


def _extended(plane: Tensor, below: int, right: int) -> Tensor:
    """Repeat the last row and the last column."""
    plane = torch.cat([plane, plane[-1:].expand(below, -1)])
    return torch.cat([plane, plane[:, -1:].expand(-1, right)], dim=1)


def _round_trip(plane: Tensor, steps: npt.NDArray[np.float64]) -> Tensor:
    """Transform, quantise, and back, (H, W) int32 whose sides are multiples of 8."""
    height, width = plane.shape
    dct, steps_88 = upload(_numbers(_DCT), plane.device), upload(steps, plane.device)
    blocks_N88 = plane.view(height // SIDE, SIDE, width // SIDE, SIDE).transpose(1, 2).double() - 128
    frequencies_N88 = _shifted(dct @ _shifted(blocks_N88 @ dct.T, _FORWARD_BITS[0]), _FORWARD_BITS[1])
    # the transform is 8 times the orthonormal one; halves are rounded away from zero
    sizes_N88 = ((frequencies_N88.abs() + (steps_88 * SIDE / 2).floor()) / (steps_88 * SIDE)).floor()
    values_N88 = frequencies_N88.sign() * sizes_N88 * steps_88
    pixels_N88 = _shifted(_shifted(dct.T @ values_N88, _BACK_BITS[0]) @ dct, _BACK_BITS[1])
    return (pixels_N88 + 128).clamp(0, 255).transpose(1, 2).reshape(height, width).int()


def _shifted(values: Tensor, bits: int) -> Tensor:
    """Divide whole numbers by a power of two, halves upwards."""
    return torch.floor((values + 2.0 ** (bits - 1)) / 2.0**bits)


@lru_cache(maxsize=4)
def _numbers(text: str) -> npt.NDArray[np.float64]:
    return np.array(text.split(), dtype=np.float64).reshape(SIDE, SIDE)


def _table(text: str, quality: int) -> npt.NDArray[np.float64]:
    """Steps of quantisation at a quality, (8, 8)."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.clip((_numbers(text) * scale + 50) // 100, 1, 255)
