"""Blur and flat share of a picture, from one pass over its luma (paper section 3.4).

Blur is the variance of the 4-neighbour Laplacian. A 240x240 patch is flat where the variance of the Sobel
magnitude is below 800; the flat share is the share of such patches. Borders are reflect-101 on the whole
picture, patches are cut afterwards, what is left at the right and the bottom is ignored.

Blur comes from exact integers. Magnitudes are added up in 32 bits, which leaves a variance in doubt by less than a
known share of the squared mean; a patch that near to the limit is measured again in 64 bits. So both numbers are
those of float64 arithmetic, on every machine.
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
DOUBT = 2.1 * PATCH_PX * 2.0**-24
"""Bound of a variance's error by 32-bit magnitudes, as a share of the squared mean. A square root and the sum of a row of
240, in any order, are off by at most 240 roundings of 2^-24 each; the square of the mean doubles that, 5 % are spare."""
_ONE, _TWO = np.uint64(1), np.uint64(2)

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
    squares, magnitudes, energies = _sums(luma_u8, height // PATCH_PX, width // PATCH_PX)
    count = height * width
    # sum((x - mean)^2) = sum(x^2) - sum(x)^2 / n, in integers so that nothing cancels
    blur = (int(squares) * count - _laplacian_total(luma_u8) ** 2) / count**2
    if magnitudes.size == 0:
        return blur, float("nan")
    mean_squared = (magnitudes / PATCH_PX**2) ** 2
    variances = energies / PATCH_PX**2 - mean_squared
    for row, column in np.argwhere(np.abs(variances - FLAT_BELOW) <= DOUBT * mean_squared):
        variances[row, column] = patch_variance(luma_u8, row, column)
    return blur, float(np.mean(variances < FLAT_BELOW))


def patch_variance(luma_u8: Luma, row: int, column: int) -> float:
    """Variance of the Sobel magnitude of one whole patch, in 64 bits.

    Args:
        luma_u8: (H, W) uint8, the whole picture, both sides at least 240 px.
        row: number of the patch from the top.
        column: number of the patch from the left.
    """
    near = luma_u8[np.ix_(_reflected(row, luma_u8.shape[0]), _reflected(column, luma_u8.shape[1]))].astype(np.int32)
    smooth = near[:-2] + 2 * near[1:-1] + near[2:]
    slope = near[2:] - near[:-2]
    across = smooth[:, 2:] - smooth[:, :-2]
    down = slope[:, :-2] + 2 * slope[:, 1:-1] + slope[:, 2:]
    return float(np.sqrt((across**2 + down**2).astype(np.float64)).var())


def _reflected(patch: int, side_px: int) -> npt.NDArray[np.intp]:
    """Rows or columns of a patch with one more at each end, reflect-101 at the borders of the picture."""
    found = np.abs(np.arange(patch * PATCH_PX - 1, (patch + 1) * PATCH_PX + 1))
    return np.where(found < side_px, found, 2 * (side_px - 1) - found)


def _laplacian_total(luma_u8: Luma) -> int:
    """Sum of the Laplacian: inside the picture every pixel is added as often as it is taken away."""
    ends = (luma_u8, luma_u8[::-1], luma_u8.T, luma_u8.T[::-1])
    return sum(int(side[1].sum(dtype=np.int64)) - int(side[0].sum(dtype=np.int64)) for side in ends)


# Each loop writes one row and reads few, without slices, over unsigned positions, in narrow types: with more rows LLVM finds
# too many pairs that might overlap, with signed positions numba allows for negative ones, and sums widen unless they are
# narrowed at once. Any of these costs the vector registers; a slice costs two locked additions.


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _sums(luma: Any, rows: int, columns: int) -> Any:
    """Sum of the squared Laplacian; per patch, of the Sobel magnitude (rows of it in 32 bits) and its square."""
    height, width = luma.shape
    magnitudes = np.zeros((rows, columns))
    energies = np.zeros((rows, columns), np.int64)
    smooth, slope = np.empty(width + 2, np.int16), np.empty(width + 2, np.int16)
    laplacian = np.empty(width, np.int16)
    squares = np.int64(0)
    for y in range(np.uint64(height)):
        above = y - _ONE if y > 0 else _ONE
        below = y + _ONE if y + _ONE < height else y - _ONE
        _smooth(luma, above, y, below, smooth)
        _laplacian(luma, y, smooth, laplacian)
        squares += _squared(laplacian)
        if y < rows * PATCH_PX:
            _slope(luma, above, below, slope)
            _sobel(smooth, slope, magnitudes, energies, y // np.uint64(PATCH_PX))
    return squares, magnitudes, energies


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _smooth(luma: Any, above: Any, here: Any, below: Any, smooth: Any) -> None:
    """Add up three rows with weights 1, 2, 1, with a reflected element at each end."""
    for x in range(np.uint64(luma.shape[1])):
        beside = np.int16(np.int16(luma[above, x]) + np.int16(luma[below, x]))
        smooth[x + _ONE] = np.int16(beside + np.int16(np.int16(2) * np.int16(luma[here, x])))
    smooth[0], smooth[-1] = smooth[2], smooth[-3]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _slope(luma: Any, above: Any, below: Any, slope: Any) -> None:
    """Take one row from another, with a reflected element at each end."""
    for x in range(np.uint64(luma.shape[1])):
        slope[x + _ONE] = np.int16(np.int16(luma[below, x]) - np.int16(luma[above, x]))
    slope[0], slope[-1] = slope[2], slope[-3]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _laplacian(luma: Any, here: Any, smooth: Any, laplacian: Any) -> None:
    """Left + right + smooth - 6 here, which is the sum of the four neighbours - 4 here."""
    last = np.uint64(luma.shape[1] - 1)
    laplacian[0] = smooth[1] - 6 * np.int16(luma[here, 0]) + 2 * np.int16(luma[here, 1])
    laplacian[last] = smooth[last + _ONE] - 6 * np.int16(luma[here, last]) + 2 * np.int16(luma[here, last - _ONE])
    for x in range(_ONE, last):
        beside = np.int16(np.int16(luma[here, x - _ONE]) + np.int16(luma[here, x + _ONE]))
        laplacian[x] = np.int16(beside + np.int16(smooth[x + _ONE] - np.int16(np.int16(6) * np.int16(luma[here, x]))))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _squared(laplacian: Any) -> Any:
    """Sum of squares of one row."""
    width = np.uint64(laplacian.shape[0])
    squares = np.int64(0)
    start = np.uint64(0)
    while start < width:
        # 2000 squares of at most 1020^2 stay below 2^31
        end = min(start + np.uint64(2000), width)
        block = np.int32(0)
        for x in range(start, end):
            block = np.int32(block + np.int32(np.int32(laplacian[x]) * np.int32(laplacian[x])))
        squares += block
        start = end
    return squares


@numba.njit(cache=True, fastmath={"reassoc", "nsz", "contract"}, nogil=True)  # type: ignore[untyped-decorator]
def _sobel(smooth: Any, slope: Any, magnitudes: Any, energies: Any, row: Any) -> None:
    """Add one row to its patches."""
    for patch in range(np.uint64(magnitudes.shape[1])):
        start = patch * np.uint64(PATCH_PX)
        magnitude = np.float32(0)
        energy = np.int32(0)
        for x in range(start, start + np.uint64(PATCH_PX)):
            across = np.float32(np.int16(smooth[x + _TWO] - smooth[x]))
            down = np.float32(np.int16(np.int16(slope[x] + slope[x + _TWO]) + np.int16(np.int16(2) * slope[x + _ONE])))
            squared = np.float32(np.float32(across * across) + np.float32(down * down))  # at most 2 * 1020^2: exact
            energy = np.int32(energy + np.int32(squared))
            magnitude = np.float32(magnitude + np.sqrt(squared))
        magnitudes[row, patch] += np.float64(magnitude)
        energies[row, patch] += energy
