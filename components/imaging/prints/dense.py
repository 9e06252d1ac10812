"""Compare two thumbnails under a transform: which part of the pictures really shows the same.

A transform found from blobs says where content would lie; two pages with one letterhead, or two mosaics with one tile,
share blobs and not content. So each window of the coarser thumbnail is correlated with what lies there in the other.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

REACH = 2
"""Windows are 5 px wide, of about 30."""
ALIKE = 0.6
"""Least correlation of a window that shows the same."""
TEXTURED = 0.02
"""Least variance of a window that can be correlated, as a share of the variance of the compared part."""
LEVELS = 0.25
"""Least variance of such a window in squared grey levels."""
SMOOTH = 0.6
"""Most difference of two smooth windows, in standard deviations of the compared part."""


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def laid_over(first: Any, second: Any, matrix: Any) -> Any:
    """Read the second thumbnail at each px of the first.

    Args:
        first: (rows, columns) grey levels.
        second: the same of the other, which is not coarser in content.
        matrix: (2, 3) from px centres of the first to px centres of the second.

    Returns:
        (rows, columns) values, NaN where the second does not reach.
    """
    rows, columns = second.shape
    scale = math.sqrt(abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]))
    samples = max(1, math.ceil(scale))
    values = np.full(first.shape, np.nan)
    for row in range(first.shape[0]):
        for column in range(first.shape[1]):
            x = matrix[0, 0] * column + matrix[0, 1] * row + matrix[0, 2]
            y = matrix[1, 0] * column + matrix[1, 1] * row + matrix[1, 2]
            if -0.5 <= x <= columns - 0.5 and -0.5 <= y <= rows - 0.5:
                values[row, column] = _mean_around(second, x, y, scale, samples)
    return values


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


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def alike(first: Any, second: Any) -> Any:
    """Count px: (compared, of these textured, of these alike; smooth and alike).

    Args:
        first: (rows, columns) grey levels.
        second: the same of the other, NaN where there is nothing to compare.
    """
    there = ~np.isnan(second)
    compared = there.sum()
    counts = np.zeros(4, np.int64)
    counts[0] = compared
    if compared < (2 * REACH + 1) ** 2:
        return counts
    one, least_one = _standard(first, there)
    two, least_two = _standard(second, there)
    for row in range(first.shape[0]):
        for column in range(first.shape[1]):
            if there[row, column]:
                mean_one, mean_two, var_one, var_two, both = _window(one, two, there, row, column)
                if max(var_one - least_one, var_two - least_two) >= 0:
                    counts[1] += 1
                    counts[2] += both >= ALIKE * math.sqrt(var_one * var_two) and min(var_one, var_two) > 0
                else:
                    counts[3] += abs(mean_one - mean_two) <= SMOOTH
    return counts


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
