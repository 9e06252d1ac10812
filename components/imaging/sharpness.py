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
    luma_u8 = np.ascontiguousarray(luma_u8).view()
    luma_u8.flags.writeable = False  # as the codec gives it: numba compiles for one type, not for two
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


# Each loop writes one row and reads few: with more, LLVM finds too many pairs that might overlap and gives up its vector
# registers. So do signed indices, which may be negative to numba, and sums that are not narrowed at once.


@numba.njit(cache=True, fastmath={"reassoc", "nsz", "contract"}, nogil=True)  # type: ignore[untyped-decorator]
def _sums(luma: Any, rows: int, columns: int) -> Any:
    """Sum of the squared Laplacian; per patch, of the Sobel magnitude (rows of it in 32 bits) and its square."""
    height, width = luma.shape
    magnitudes = np.zeros((rows, columns))
    energies = np.zeros((rows, columns), np.int64)
    smooth, slope = np.empty(width + 2, np.int16), np.empty(width + 2, np.int16)
    laplacian = np.empty(width, np.int16)
    squares = np.int64(0)
    for y in range(height):
        above, here = luma[y - 1 if y > 0 else 1], luma[y]
        below = luma[y + 1 if y + 1 < height else height - 2]
        _smooth(above, here, below, smooth[1:-1])
        _laplacian(smooth[1:-1], here, laplacian)
        squares += _squared(laplacian)
        if y < rows * PATCH_PX:
            _slope(above, below, slope[1:-1])
            smooth[0], slope[0] = smooth[2], slope[2]
            smooth[-1], slope[-1] = smooth[-3], slope[-3]
            _sobel(smooth, slope, magnitudes[y // PATCH_PX], energies[y // PATCH_PX])
    return squares, magnitudes, energies


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _smooth(above: Any, here: Any, below: Any, smooth: Any) -> None:
    """Add up three rows with weights 1, 2, 1."""
    for x in range(np.uint64(here.shape[0])):
        smooth[x] = np.int16(np.int16(np.int16(above[x]) + np.int16(below[x])) + np.int16(np.int16(2) * np.int16(here[x])))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _slope(above: Any, below: Any, slope: Any) -> None:
    """Take the row above from the row below."""
    for x in range(np.uint64(above.shape[0])):
        slope[x] = np.int16(np.int16(below[x]) - np.int16(above[x]))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _laplacian(smooth: Any, here: Any, laplacian: Any) -> None:
    """Left + right + smooth - 6 here, which is the sum of the four neighbours - 4 here."""
    last = here.shape[0] - 1
    laplacian[0] = np.int16(smooth[0] - 6 * np.int16(here[0]) + 2 * np.int16(here[1]))
    laplacian[last] = np.int16(smooth[last] - 6 * np.int16(here[last]) + 2 * np.int16(here[last - 1]))
    left, middle, right, inner, between = here[:-2], here[1:-1], here[2:], laplacian[1:-1], smooth[1:-1]
    for x in range(np.uint64(inner.shape[0])):
        beside = np.int16(np.int16(left[x]) + np.int16(right[x]))
        inner[x] = np.int16(beside + np.int16(between[x] - np.int16(np.int16(6) * np.int16(middle[x]))))


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
def _sobel(smooth: Any, slope: Any, magnitudes: Any, energies: Any) -> None:
    """Add one row to its patches; `smooth` and `slope` have one reflected element more at each end."""
    for patch in range(magnitudes.shape[0]):
        start = patch * PATCH_PX
        end = start + PATCH_PX
        before, after = smooth[start:end], smooth[start + 2 : end + 2]
        upper, middle, lower = slope[start:end], slope[start + 1 : end + 1], slope[start + 2 : end + 2]
        magnitude = np.float32(0)
        energy = np.int32(0)
        for x in range(np.uint64(PATCH_PX)):
            across = np.float32(np.int16(after[x] - before[x]))
            down = np.float32(np.int16(np.int16(upper[x] + lower[x]) + np.int16(np.int16(2) * middle[x])))
            squared = np.float32(np.float32(across * across) + np.float32(down * down))  # at most 2 * 1020^2: exact
            energy = np.int32(energy + np.int32(squared))
            magnitude = np.float32(magnitude + np.sqrt(squared))
        magnitudes[patch] += np.float64(magnitude)
        energies[patch] += energy
