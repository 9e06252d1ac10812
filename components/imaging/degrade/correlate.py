"""Correlation with a kernel, equal to the last bit on every processor.

Each output is the sum over the taps in one fixed order, in float32 and without fused multiply-add (LLVM fuses nothing that
is not asked to be), so that the width of the vector unit decides the speed alone. Borders are reflect-101.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from numba import njit

from components.imaging.degrade.carrier import Pixels
from components.imaging.degrade.kernels import Kernel

TAPS = 4
"""Taps that are added at a time, which saves loading and storing the sum."""


def correlate(image: Pixels, kernel: Kernel) -> Pixels:
    """Correlate each channel with a (size, size) kernel.

    Args:
        image: (H, W, 3) float32.
        kernel: odd size; all-zero rows and columns at its rim are left out.
    """
    half = _reach(kernel)
    middle = kernel.shape[0] // 2
    used = np.ascontiguousarray(kernel[middle - half : middle + half + 1, middle - half : middle + half + 1])
    dy, dx = (axis.ravel() for axis in np.mgrid[: used.shape[0], : used.shape[1]])
    return _taps(_padded(image, half, half), used.ravel(), dy, dx, image.shape)


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
    missing = -len(weights) % TAPS
    weights, dy, dx = (np.append(values, np.zeros(missing, values.dtype)) for values in (weights, dy, dx))
    result: Pixels = np.empty(shape, np.float32)
    flat = padded.reshape(padded.shape[0], -1)
    _sum(flat, weights, dy, dx * padded.shape[2], result.reshape(shape[0], -1))
    return result


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _sum(padded, weights, dy, offset, result):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    height, width = result.shape
    for y in range(height):
        out = result[y]
        for x in range(width):
            out[x] = np.float32(0)
        for tap in range(0, len(weights), 4):
            a, b, c, d = weights[tap], weights[tap + 1], weights[tap + 2], weights[tap + 3]
            one = padded[y + dy[tap], offset[tap] :]
            two = padded[y + dy[tap + 1], offset[tap + 1] :]
            three = padded[y + dy[tap + 2], offset[tap + 2] :]
            four = padded[y + dy[tap + 3], offset[tap + 3] :]
            for x in range(width):
                out[x] += (a * one[x] + b * two[x]) + (c * three[x] + d * four[x])
