"""From two sets of blobs to the one similarity transform that most of their matches agree on."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

MOST_BITS = 14
"""Copies differ in 3 of 64 bits on average; of unrelated blobs, 1 pair in 300,000 is this near."""
CLEARER_BITS = 4
"""Fewest bits by which a match is nearer than any other: what a picture repeats says nothing about where."""
TOLERANCE_PX = 2.0
"""Misplacement of a blob in the working picture, plus a share of its sigma."""
TOLERANCE_SIGMA = 0.3
MOST_SLANT = math.tan(math.radians(12))
"""Beyond quarter turns: the patches are upright."""
NEAREST_PX = 8.0
"""Two places nearer than that tell no scale."""
RATIO = 1.4
"""Most difference of a blob's sigma from what the transform makes of it."""
MOST_TRIED = 400
"""Pairs of matches that are tried as a transform."""


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def differing(first: Any, second: Any) -> Any:
    """Count the bits in which two words differ."""
    word = first ^ second
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def matches(first: Any, second: Any) -> Any:
    """Rows (i, j): for each code of the first, its nearest of the second if it is near and no other is nearly as near."""
    found = np.empty((first.shape[0], 2), np.int64)
    count = 0
    for i in range(first.shape[0]):
        best, next_best, nearest = np.uint64(64), np.uint64(64), -1
        for j in range(second.shape[0]):
            bits = differing(first[i], second[j])
            if bits < best:
                best, next_best, nearest = bits, best, j
            elif bits < next_best:
                next_best = bits
        if best <= MOST_BITS and best + CLEARER_BITS <= next_best:
            found[count] = i, nearest
            count += 1
    return found[:count]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def turn(position: Any) -> Any:
    """2x2 matrix that brings an upright patch to its code: mirror across, mirror down, transpose."""
    across = -1.0 if position & 1 else 1.0
    down = -1.0 if position & 2 else 1.0
    matrix = np.zeros((2, 2))
    if position & 4:
        matrix[0, 1], matrix[1, 0] = down, across
    else:
        matrix[0, 0], matrix[1, 1] = across, down
    return matrix


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def turns() -> Any:
    """(8, 8) index of the turn from a patch in one position to one in another, and the (8, 2, 2) turns themselves."""
    matrices = np.empty((8, 2, 2))
    for position in range(8):
        matrices[position] = turn(position)
    index = np.zeros((8, 8), np.int64)
    for first in range(8):
        for second in range(8):
            between = matrices[second].T @ matrices[first]
            for k in range(8):
                if np.abs(matrices[k] - between).sum() < 0.5:
                    index[first, second] = k
    return index, matrices


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def transform(places: Any, turned: Any) -> Any:
    """Find the transform that most matches agree on.

    Args:
        places: (n, 6) x, y, sigma of the matched blob in the first, then in the second picture, px.
        turned: (n,) which of the eight turns each match asks for.

    Returns:
        (5 numbers: turn, p, q, tx, ty; mask of the matches that agree). With (u, v) the turned place in the first, the
        place in the second is (p u - q v + tx, q u + p v + ty).
    """
    count = places.shape[0]
    _, matrices = turns()
    best, most = np.zeros(5), 0
    agreed = np.zeros(count, np.bool_)
    state = np.uint64(0x9E3779B97F4A7C15)
    for _ in range(MOST_TRIED if count > 1 else 0):
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        i = int((state >> np.uint64(33)) % np.uint64(count))
        j = int((state >> np.uint64(13)) % np.uint64(count))
        if i == j or turned[i] != turned[j]:
            continue
        matrix = matrices[turned[i]]
        found = _through(places[i], places[j], matrix)
        if not _plausible(found, places[i], places[j]):
            continue
        agrees = _agreeing(places, found, matrix, turned == turned[i])
        if agrees.sum() > most:
            most, agreed = agrees.sum(), agrees
            best[0] = turned[i]
            best[1:] = found
            if most * 5 >= count * 4:
                break
    return _refined(places, turned, best, agreed)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _refined(places: Any, turned: Any, best: Any, agreed: Any) -> Any:
    """Fit the transform to all matches that agree, twice, and ask again which do."""
    matrix = turns()[1][int(best[0])]
    for _ in range(2):
        if agreed.sum() > 1:
            best[1:] = _fitted(places[agreed], matrix)
            agreed = _agreeing(places, best[1:], matrix, turned == int(best[0]))
    return best, agreed


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _through(one: Any, two: Any, matrix: Any) -> Any:
    """The transform that two matches ask for; NaN when their places are too near to tell."""
    x, y = two[0] - one[0], two[1] - one[1]
    dx, dy = matrix[0, 0] * x + matrix[0, 1] * y, matrix[1, 0] * x + matrix[1, 1] * y
    ex, ey = two[3] - one[3], two[4] - one[4]
    length = dx * dx + dy * dy
    found = np.full(4, np.nan)
    if min(length, ex * ex + ey * ey) > NEAREST_PX**2:
        ux, uy = matrix[0, 0] * one[0] + matrix[0, 1] * one[1], matrix[1, 0] * one[0] + matrix[1, 1] * one[1]
        found[0] = (dx * ex + dy * ey) / length
        found[1] = (dx * ey - dy * ex) / length
        found[2] = one[3] - found[0] * ux + found[1] * uy
        found[3] = one[4] - found[1] * ux - found[0] * uy
    return found


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _plausible(found: Any, one: Any, two: Any) -> Any:
    """Hold a transform against the sigmas of the two matches that asked for it; False for NaN."""
    p, q = found[0], found[1]
    if not (p > 0 and abs(q) <= MOST_SLANT * p):
        return False
    scale = math.sqrt(p * p + q * q)
    first, second = one[5] / one[2], two[5] / two[2]
    return max(first, second) < RATIO * scale and min(first, second) * RATIO > scale


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _agreeing(places: Any, found: Any, matrix: Any, same: Any) -> Any:
    """Mask of the matches that a transform brings near enough."""
    a, b = found[0] * matrix[0, 0] - found[1] * matrix[1, 0], found[0] * matrix[0, 1] - found[1] * matrix[1, 1]
    c, d = found[1] * matrix[0, 0] + found[0] * matrix[1, 0], found[1] * matrix[0, 1] + found[0] * matrix[1, 1]
    agrees = np.zeros(places.shape[0], np.bool_)
    for k in range(places.shape[0]):
        x, y = places[k, 0], places[k, 1]
        dx = a * x + b * y + found[2] - places[k, 3]
        dy = c * x + d * y + found[3] - places[k, 4]
        near = TOLERANCE_PX + TOLERANCE_SIGMA * places[k, 5]
        agrees[k] = same[k] and dx * dx + dy * dy <= near * near
    return agrees


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fitted(places: Any, matrix: Any) -> Any:
    """Least squares."""
    ux = matrix[0, 0] * places[:, 0] + matrix[0, 1] * places[:, 1]
    uy = matrix[1, 0] * places[:, 0] + matrix[1, 1] * places[:, 1]
    cu, cv, cx, cy = ux.mean(), uy.mean(), places[:, 3].mean(), places[:, 4].mean()
    du, dv, dx, dy = ux - cu, uy - cv, places[:, 3] - cx, places[:, 4] - cy
    length = max((du * du + dv * dv).sum(), 1e-9)
    found = np.empty(4)
    found[0] = (du * dx + dv * dy).sum() / length
    found[1] = (du * dy - dv * dx).sum() / length
    found[2] = cx - found[0] * cu + found[1] * cv
    found[3] = cy - found[1] * cu - found[0] * cv
    return found
