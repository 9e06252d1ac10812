"""Compare two thumbnails under a transform: which part of the pictures really shows the same.

A transform found from blobs says where content would lie; two pages with one letterhead, or two mosaics with one tile,
share blobs and not content. So each window of the coarser thumbnail is correlated with what lies there in the other.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

RIM = 0.45
"""Half a px of the coarser thumbnail, but for misplacement."""
REACH = 2
"""Windows are 5 px wide, of about 30."""
ALIKE = 0.6
"""Least correlation of a window that shows the same."""
TEXTURED = 0.02
"""Least variance of a window that can be correlated, as a share of the variance of the compared part."""
LEVELS = 0.25
"""Least variance of such a window in squared grey levels."""
APART = 0.9
"""Most difference of the means of two windows, in standard deviations of the compared part."""
SMOOTH_APART = 0.4
"""The same where nothing but the mean can be compared."""
SMOOTH_MOST = 4
"""Most smooth px that count for each textured one: an empty sky proves nothing."""
NEAR = 4
"""Blobs within that many px of the thumbnail speak for a px."""
EXPECTED = 8.0
"""Blobs of either picture around a px from which on some must agree."""
AGREED = 0.05
"""Least part of them that must."""


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def laid_over(first: Any, second: Any, matrix: Any) -> Any:
    """Read the second thumbnail at each px of the first.

    Args:
        first: (rows, columns) grey levels.
        second: the same of the other, which is not coarser in content.
        matrix: (2, 3) from px centres of the first to px centres of the second.

    Returns:
        (rows, columns) values, NaN where the second does not reach; and how many px have their centre in it. Of those, the
        ones along the rim of the second are NaN too: they show also what lies beyond.
    """
    rows, columns = second.shape
    scale = math.sqrt(abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]))
    samples = max(1, math.ceil(scale))
    values, count = np.full(first.shape, np.nan), 0
    for row in range(first.shape[0]):
        for column in range(first.shape[1]):
            x = matrix[0, 0] * column + matrix[0, 1] * row + matrix[0, 2]
            y = matrix[1, 0] * column + matrix[1, 1] * row + matrix[1, 2]
            inside = min(x + 0.5, y + 0.5, columns - 0.5 - x, rows - 0.5 - y)
            count += inside >= 0
            if inside >= RIM * scale:
                values[row, column] = _mean_around(second, x, y, scale, samples)
    return values, count


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mean_around(plane: Any, x: Any, y: Any, side: Any, samples: Any) -> Any:
    height, width = plane.shape
    total = 0.0
    for i in range(samples):
        v = min(max(y + ((i + 0.5) / samples - 0.5) * side, 0.0), height - 1.0)
        top = min(int(v), max(height - 2, 0))
        down = v - top
        for j in range(samples):
            u = min(max(x + ((j + 0.5) / samples - 0.5) * side, 0.0), width - 1.0)
            left = min(int(u), max(width - 2, 0))
            across = u - left
            right, low = min(left + 1, width - 1), min(top + 1, height - 1)
            upper = plane[top, left] * (1 - across) + plane[top, right] * across
            lower = plane[low, left] * (1 - across) + plane[low, right] * across
            total += upper * (1 - down) + lower * down
    return total / (samples * samples)


def detail(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Take a smooth surface of second degree away: every sky is like every other. NaN stays NaN."""
    rows, columns = plane.shape
    y, x = (axis.ravel() for axis in np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j])
    surface = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    values = plane.ravel()
    there = ~np.isnan(values)
    weights = np.linalg.lstsq(surface[there], values[there], rcond=None)[0]
    return np.asarray((values - surface @ weights).reshape(plane.shape))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def contradicted(shape: Any, first: Any, second: Any, agreeing: Any) -> Any:
    """Mark px around which both pictures have blobs and hardly any agree.

    Args:
        shape: rows and columns of the thumbnail.
        first: (n, 2) column and row of the blobs of one picture that the other could have.
        second: (m, 2) the same of the other's, in px of the one's thumbnail.
        agreeing: (k, 2) the blobs that agree.
    """
    one, two, both = _around(shape, first), _around(shape, second), _around(shape, agreeing)
    expected = np.minimum(one, two)
    return (expected >= EXPECTED) & (both < np.maximum(1.0, AGREED * expected))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _around(shape: Any, places: Any) -> Any:
    """For each px, the number of places around it."""
    counts = np.zeros(shape)
    for k in range(places.shape[0]):
        column, row = round(places[k, 0]), round(places[k, 1])
        counts[max(row - NEAR, 0) : max(row + NEAR + 1, 0), max(column - NEAR, 0) : max(column + NEAR + 1, 0)] += 1
    return counts


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def alike(first: Any, second: Any, doubtful: Any) -> Any:
    """Part of the compared px that show the same.

    Args:
        first: (rows, columns) detail in grey levels.
        second: the same of the other; both are NaN where there is nothing to compare.
        doubtful: (rows, columns) px that do not show the same whatever they look like.
    """
    there = ~np.isnan(second)
    compared, textured, smooth = there.sum(), 0, 0
    if compared < (2 * REACH + 1) ** 2:
        return 0.0
    one, least_one = _standard(first, there)
    two, least_two = _standard(second, there)
    for row in range(first.shape[0]):
        for column in range(first.shape[1]):
            if there[row, column] and not doubtful[row, column]:
                mean_one, mean_two, var_one, var_two, both = _window(one, two, there, row, column)
                apart = abs(mean_one - mean_two)
                if var_one < least_one and var_two < least_two:
                    smooth += apart <= SMOOTH_APART
                else:
                    textured += apart <= APART and both >= ALIKE * math.sqrt(max(var_one * var_two, 1e-12))
    return (textured + min(smooth, SMOOTH_MOST * textured)) / compared


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _standard(plane: Any, there: Any) -> Any:
    """Mean 0 and variance 1 over what is compared; and from which variance on a window is textured."""
    total, squares, count = 0.0, 0.0, 0
    for row in range(plane.shape[0]):
        for column in range(plane.shape[1]):
            if there[row, column]:
                total += plane[row, column]
                squares += plane[row, column] ** 2
                count += 1
    mean = total / count
    variance = max(squares / count - mean * mean, 1e-6)
    return (plane - mean) / math.sqrt(variance), max(TEXTURED, LEVELS / variance)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _window(one: Any, two: Any, there: Any, row: Any, column: Any) -> Any:
    """Means, variances and covariance of one window."""
    count, a, b, aa, bb, ab = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    for y in range(max(row - REACH, 0), min(row + REACH + 1, one.shape[0])):
        for x in range(max(column - REACH, 0), min(column + REACH + 1, one.shape[1])):
            if there[y, x]:
                u, v = one[y, x], two[y, x]
                count, a, b, aa, bb, ab = count + 1, a + u, b + v, aa + u * u, bb + v * v, ab + u * v
    a, b = a / count, b / count
    return a, b, aa / count - a * a, bb / count - b * b, ab / count - a * b
