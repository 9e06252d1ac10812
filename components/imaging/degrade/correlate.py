"""Correlation with a kernel that is its own mirror image about the centre, equal to the last bit on every processor.

Each output is the sum over opposite taps in one fixed order, in float32 and without fused multiply-add (LLVM fuses nothing that
is not asked to be), so that the width of the vector unit decides the speed alone. Borders are reflect-101.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from numba import njit

from components.imaging.degrade.carrier import Pixels
from components.imaging.degrade.kernels import Kernel

PAIRS = 4
"""Pairs of opposite taps that are added at a time, which saves loading and storing the sum."""


def correlate(image: Pixels, kernel: Kernel) -> Pixels:
    """Correlate each channel with a (size, size) kernel.

    Args:
        image: (H, W, 3) float32.
        kernel: odd size, the same when turned by 180 degrees; taps of weight 0 cost nothing.
    """
    half = _reach(kernel)
    middle = kernel.shape[0] // 2
    used = np.ascontiguousarray(kernel[middle - half : middle + half + 1, middle - half : middle + half + 1])
    dy, dx = np.nonzero((used != 0) | (np.mgrid[: used.shape[0], : used.shape[1]] == half).all(axis=0))
    return _taps(_padded(image, half, half), used[dy, dx], dy, dx, image.shape)


def correlate_few(image: Pixels, kernel: Kernel) -> Pixels:
    """Correlate with a kernel most of whose weights are 0: those are left out, the centre's may not be 0."""
    half = kernel.shape[0] // 2
    dy, dx = np.nonzero(kernel)
    return _taps(_padded(image, half, half), kernel[dy, dx], dy, dx, image.shape)


def correlate_lines(image: Pixels, line: Kernel) -> Pixels:
    """Correlate with a line along the rows and the same one along the columns."""
    half = len(line) // 2
    places, still = np.arange(len(line)), np.zeros(len(line), np.int64)
    height, width = image.shape[:2]
    across = _taps(_padded(image, half, half), line, still, places, (height + 2 * half, width, 3))
    return _taps(across, line, places, still, image.shape)


def _reach(kernel: Kernel) -> int:
    """Half of the side of the square outside of which all weights are 0."""
    middle = kernel.shape[0] // 2
    rows, columns = np.nonzero(kernel)
    return int(max(np.abs(rows - middle).max(), np.abs(columns - middle).max()))


def _padded(image: Pixels, rows: int, columns: int) -> Pixels:
    """Reflect without the border pixel, any number of times for a picture narrower than that."""
    border = cv2.BORDER_REFLECT_101
    return np.ascontiguousarray(cv2.copyMakeBorder(image, rows, rows, columns, columns, border), dtype=np.float32)


def _taps(
    padded: Pixels, weights: Kernel, dy: npt.NDArray[np.int64], dx: npt.NDArray[np.int64], shape: tuple[int, ...]
) -> Pixels:
    """Sum the taps; `padded` is larger than `shape` by the largest dy and dx."""
    count = len(weights) // 2 + 1
    halved = weights[:count].copy()
    halved[-1] *= np.float32(0.5)  # the centre is its own opposite
    missing = -count % PAIRS
    used = np.append(halved, np.zeros(missing, np.float32))
    offsets = dy * padded.shape[1] * padded.shape[2] + dx * padded.shape[2]
    first, second = (np.append(places[:count], np.zeros(missing, np.int64)) for places in (offsets, offsets[::-1]))
    result: Pixels = np.empty(shape, np.float32)
    _sum(padded.ravel(), padded.shape[1] * padded.shape[2], used, first, second, result.reshape(shape[0], -1))
    return result


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _sum(padded, stride, weights, first, second, result):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    height, width = result.shape
    for y in range(height):
        out = result[y]
        start = y * stride
        for x in range(width):
            out[x] = np.float32(0)
        for pair in range(0, len(weights), 4):
            a, b, c, d = weights[pair], weights[pair + 1], weights[pair + 2], weights[pair + 3]
            a1, a2 = padded[start + first[pair] :], padded[start + second[pair] :]
            b1, b2 = padded[start + first[pair + 1] :], padded[start + second[pair + 1] :]
            c1, c2 = padded[start + first[pair + 2] :], padded[start + second[pair + 2] :]
            d1, d2 = padded[start + first[pair + 3] :], padded[start + second[pair + 3] :]
            for x in range(width):
                out[x] += (a * (a1[x] + a2[x]) + b * (b1[x] + b2[x])) + (c * (c1[x] + c2[x]) + d * (d1[x] + d2[x]))
