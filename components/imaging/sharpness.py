"""Blur and flat share of a picture, from one pass over its luma (paper section 3.4).

Blur is the variance of the 4-neighbour Laplacian. A 240x240 patch is flat where the variance of the Sobel
magnitude is below 800; the flat share is the share of such patches. Borders are reflect-101 on the whole
picture, patches are cut afterwards, what is left at the right and the bottom is ignored.

Sums of squares are exact integers; only the sum of magnitudes is a floating-point sum.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

OPERATOR = "sharpness-1"
"""Name under which scores are kept; another one measures everything again."""
PATCH_PX = 240
"""Side of a patch (paper section 3.4)."""
FLAT_BELOW = 800.0
"""A patch whose Sobel magnitude varies less is flat (paper section 3.4)."""

Luma = npt.NDArray[np.uint8]


def score(luma_u8: Luma) -> tuple[float, float]:
    """Measure one picture.

    Args:
        luma_u8: (H, W) uint8 at native resolution, both sides at least 2 px.

    Returns:
        (blur, flat share in [0, 1]); a picture of 1 px height or width has blur 0, and one without a whole
        patch has flat share NaN: the caller's verdict is `too_small`.
    """
    height, width = luma_u8.shape
    if min(height, width) < 2:
        return 0.0, float("nan")
    luma_u8 = np.ascontiguousarray(luma_u8)
    total, squares, magnitudes, energies = _sums(luma_u8, height // PATCH_PX, width // PATCH_PX)
    count = height * width
    # sum((x - mean)^2) = sum(x^2) - sum(x)^2 / n, in integers so that nothing cancels
    blur = (int(squares) * count - int(total) ** 2) / count**2
    if magnitudes.size == 0:
        return blur, float("nan")
    mean = magnitudes / PATCH_PX**2
    return blur, float(np.mean(energies / PATCH_PX**2 - mean * mean < FLAT_BELOW))


def patch_variances(luma_u8: Luma) -> npt.NDArray[np.float64]:
    """Variance of the Sobel magnitude of each whole patch, (rows, columns)."""
    height, width = luma_u8.shape
    _, _, magnitudes, energies = _sums(np.ascontiguousarray(luma_u8), height // PATCH_PX, width // PATCH_PX)
    mean = magnitudes / PATCH_PX**2
    variances: npt.NDArray[np.float64] = energies / PATCH_PX**2 - mean * mean
    return variances


# Plain slices, unsigned counters and explicit narrow types are what lets LLVM use its vector registers:
# a signed index may be negative to numba, and a sum of two int32 is an int64. Together they cost 5x.


@numba.njit(cache=True, fastmath={"reassoc", "nsz", "arcp", "contract"}, nogil=True)  # type: ignore[untyped-decorator]
def _sums(luma: Any, rows: int, columns: int) -> Any:
    """Sums of the Laplacian and its square; per patch, of the Sobel magnitude and its square."""
    height, width = luma.shape
    magnitudes = np.zeros((rows, columns))
    energies = np.zeros((rows, columns), np.int64)
    here = np.empty(width + 2, np.uint8)
    smooth = np.empty(width + 2, np.int16)
    slope = np.empty(width + 2, np.int16)
    total = np.int64(0)
    squares = np.int64(0)
    for y in range(height):
        above = luma[y - 1 if y > 0 else 1]
        below = luma[y + 1 if y + 1 < height else height - 2]
        here[1:-1] = luma[y]
        here[0], here[-1] = here[2], here[-3]
        row_total, row_squares = _laplacian_row(above, here, below)
        total += row_total
        squares += row_squares
        if y < rows * PATCH_PX:
            _down(above, luma[y], below, smooth[1:-1], slope[1:-1])
            smooth[0], slope[0] = smooth[2], slope[2]
            smooth[-1], slope[-1] = smooth[-3], slope[-3]
            _sobel_row(smooth, slope, magnitudes[y // PATCH_PX], energies[y // PATCH_PX])
    return total, squares, magnitudes, energies


@numba.njit(cache=True, fastmath={"reassoc", "nsz", "arcp", "contract"}, nogil=True)  # type: ignore[untyped-decorator]
def _laplacian_row(above: Any, here: Any, below: Any) -> Any:
    """Add up one row; `here` has one reflected pixel more at each end."""
    left, middle, right = here[:-2], here[1:-1], here[2:]
    width = np.uint64(above.shape[0])
    total = np.int32(0)
    squares = np.int64(0)
    start = np.uint64(0)
    while start < width:
        # 2000 squares of at most 1020^2 stay below 2^31
        end = min(start + np.uint64(2000), width)
        block = np.int32(0)
        for x in range(start, end):
            around = np.int32(np.int32(above[x]) + np.int32(below[x]) + np.int32(left[x]) + np.int32(right[x]))
            value = np.int32(around - np.int32(np.int32(4) * np.int32(middle[x])))
            total = np.int32(total + value)
            block = np.int32(block + np.int32(value * value))
        squares += block
        start = end
    return total, squares


@numba.njit(cache=True, fastmath={"reassoc", "nsz", "arcp", "contract"}, nogil=True)  # type: ignore[untyped-decorator]
def _down(above: Any, here: Any, below: Any, smooth: Any, slope: Any) -> None:
    """Vertical halves of the Sobel operator."""
    for x in range(np.uint64(here.shape[0])):
        smooth[x] = np.int16(np.int32(above[x]) + np.int32(2) * np.int32(here[x]) + np.int32(below[x]))
        slope[x] = np.int16(np.int32(below[x]) - np.int32(above[x]))


@numba.njit(cache=True, fastmath={"reassoc", "nsz", "arcp", "contract"}, nogil=True)  # type: ignore[untyped-decorator]
def _sobel_row(smooth: Any, slope: Any, magnitudes: Any, energies: Any) -> None:
    """Add one row to its patches; `smooth` and `slope` have one reflected element more at each end."""
    for patch in range(magnitudes.shape[0]):
        start = patch * PATCH_PX
        end = start + PATCH_PX
        before, after = smooth[start:end], smooth[start + 2 : end + 2]
        upper, middle, lower = slope[start:end], slope[start + 1 : end + 1], slope[start + 2 : end + 2]
        magnitude = 0.0
        energy = np.int32(0)
        for x in range(np.uint64(PATCH_PX)):
            across = np.int32(np.int32(after[x]) - np.int32(before[x]))
            down = np.int32(np.int32(upper[x]) + np.int32(2) * np.int32(middle[x]) + np.int32(lower[x]))
            squared = np.int32(np.int32(across * across) + np.int32(down * down))
            energy = np.int32(energy + squared)
            magnitude += np.sqrt(np.float64(squared))
        magnitudes[patch] += magnitude
        energies[patch] += energy
