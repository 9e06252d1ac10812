"""Blobs of a picture that a copy of it has too, and the 64 bits that describe what lies around each.

Blobs are extrema of differences of Gaussians in place and scale (Lowe 2004). They are kept by the distance to the nearest
blob of higher contrast that is not finer (after Brown et al. 2005, adaptive non-maximal suppression): a crop, enlarged to
the working size, then keeps at least those that the whole picture keeps there.

The description is upright: signs of low frequencies of the patch. A mirrored or quarter-turned patch changes signs and
places of the same numbers, so each description is brought to one of the eight positions, which is kept beside it.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import cv2
import numba
import numpy as np
import numpy.typing as npt

AREA_PX = 400 * 400
"""Pictures are compared at this area, whatever their shape."""
MOST_SIDE_PX = 4095
"""But for the thinnest, which stay below this."""
LEVELS = 2
"""Scales of one octave; a step is sqrt(2)."""
SIGMA_PX = 1.6
"""Blur of the finest level (Lowe 2004)."""
OCTAVES = 5
CONTRAST = 0.0025
"""Least response of a blob, as a share of the picture's standard deviation: a dark copy has the blobs of a bright one."""
CONTRAST_LEVELS = 0.05
"""Least response of a blob in grey levels; below are rounding errors."""
EDGE = 40.0
"""Largest ratio of the two curvatures: an edge has no place along itself."""
MOST_FOUND = 8192
MOST_COMPARED = 1500
MOST_KEPT = 160
PATCH = 16
"""Samples along the side of a patch."""
PATCH_STEP = 0.65
"""Distance of samples, in units of the blob's sigma."""
FREQUENCIES = 11
_NARROWER = 2.0 ** (-1 / LEVELS)

Plane = npt.NDArray[np.float32]

_BASIS = np.array([[math.cos(math.pi * (x + 0.5) * u / PATCH) for x in range(PATCH)] for u in range(FREQUENCIES)])
_ORDER = np.array([(total - v, v) for total in range(2, FREQUENCIES) for v in range(total + 1)], np.int64)
"""63 pairs (across, down), low frequencies first; the two lowest decide the position instead."""


class Blobs(NamedTuple):
    """Blobs of one picture; arrays of one length."""

    codes: npt.NDArray[np.uint64]
    """Bit 63 says bright or dark, then signs from the lowest frequency on."""
    positions: npt.NDArray[np.uint8]
    """How the patch was brought to its code: 1 mirrored across, 2 down, 4 then transposed."""
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    """Place in px of the working picture."""
    sigma: npt.NDArray[np.float64]


def working(luma_u8: npt.NDArray[np.uint8]) -> Plane:
    """Bring a picture to the working area, in float: rounding would make blobs in smooth skies."""
    height, width = luma_u8.shape
    scale = min(math.sqrt(AREA_PX / (height * width)), MOST_SIDE_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if scale < 1 / 4:
        luma_u8 = cv2.resize(luma_u8, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_AREA)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(luma_u8.astype(np.float32), size, interpolation=how))


def find(plane: Plane) -> Blobs:
    """Find the blobs of a working picture, most isolated first."""
    least = max(CONTRAST_LEVELS, CONTRAST * float(plane.std()))
    octaves = _pyramid(plane)
    found = np.empty((MOST_FOUND, 6))
    count = 0
    for octave in range(len(octaves) - 1, -1, -1):
        count = _extrema(octaves[octave], octave, least, found, count)
    blobs = _inside(found[:count], *plane.shape)
    blobs = blobs[np.argsort(-np.abs(blobs[:, 3]), kind="stable")[:MOST_COMPARED]]
    blobs = blobs[np.argsort(-_isolation(blobs), kind="stable")[:MOST_KEPT]]
    codes, positions = np.empty(len(blobs), np.uint64), np.empty(len(blobs), np.uint8)
    for octave, levels in enumerate(octaves):
        _describe(levels, octave, blobs, _BASIS, _ORDER, codes, positions)
    return Blobs(codes, positions, blobs[:, 0], blobs[:, 1], blobs[:, 2])


def whole(plane: Plane) -> tuple[int, int]:
    """Describe a picture as if it were one square patch: (code, position)."""
    patch = cv2.resize(plane, (PATCH, PATCH), interpolation=cv2.INTER_AREA).astype(np.float64)
    code, position = _code(patch, 1.0, _BASIS, _ORDER)
    return int(code), int(position)


def _pyramid(plane: Plane) -> list[npt.NDArray[np.float32]]:
    """Blurred levels by octave, (LEVELS + 3, H, W) each."""
    octaves: list[npt.NDArray[np.float32]] = []
    base = _blurred(plane, math.sqrt(SIGMA_PX**2 - 0.5**2))
    sigmas = [SIGMA_PX * 2 ** (level / LEVELS) for level in range(LEVELS + 3)]
    steps = [math.sqrt(after**2 - before**2) for before, after in itertools.pairwise(sigmas)]
    while len(octaves) < OCTAVES and min(base.shape) >= PATCH:
        levels = np.empty((LEVELS + 3, *base.shape), np.float32)
        levels[0] = base
        for level, step in enumerate(steps, start=1):
            levels[level] = _blurred(levels[level - 1], step)
        octaves.append(levels)
        base = np.ascontiguousarray(levels[LEVELS, ::2, ::2])
    return octaves


def _blurred(plane: Plane, sigma: float) -> Plane:
    side = 2 * math.ceil(3 * sigma) + 1
    return np.asarray(cv2.GaussianBlur(plane, (side, side), sigma, borderType=cv2.BORDER_REFLECT_101))


def _inside(blobs: npt.NDArray[np.float64], height: int, width: int) -> npt.NDArray[np.float64]:
    """Blobs whose patch lies in the picture, but for a rim."""
    half = blobs[:, 2] * (0.45 * PATCH * PATCH_STEP)
    across = (blobs[:, 0] >= half) & (blobs[:, 0] < width - half)
    return blobs[across & (blobs[:, 1] >= half) & (blobs[:, 1] < height - half)]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _extrema(levels: Any, octave: Any, least: Any, found: Any, count: Any) -> Any:
    """Append the extrema of one octave to rows of (x, y, sigma, response, octave, level)."""
    steps = levels[1:] - levels[:-1]
    _, height, width = steps.shape
    for level in range(1, steps.shape[0] - 1):
        for y in range(1, height - 1):
            for x in range(1, width - 1):
                value = steps[level, y, x]
                if abs(value) < least or not _is_peak(steps, level, y, x, value):
                    continue
                if count < found.shape[0] and _locate(steps, level, y, x, found[count]):
                    _rescale(found[count], octave)
                    count += 1
    return count


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _is_peak(steps: Any, level: Any, y: Any, x: Any, value: Any) -> Any:
    """Compare with the 26 neighbours, those of the same level first."""
    sign = np.float32(1) if value > 0 else np.float32(-1)
    height = sign * value
    if sign * steps[level, y, x - 1] >= height or sign * steps[level, y, x + 1] >= height:
        return False
    for other in (level, level - 1, level + 1):
        for row in range(y - 1, y + 2):
            for column in range(x - 1, x + 2):
                same = other == level and row == y and column == x
                if not same and sign * steps[other, row, column] >= height:
                    return False
    return True


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _locate(d: Any, s: Any, y: Any, x: Any, row: Any) -> Any:
    """Fit a quadratic to the peak; False for an edge and for a peak that is none."""
    value = d[s, y, x]
    gx, gy, gs = (
        (d[s, y, x + 1] - d[s, y, x - 1]) / 2,
        (d[s, y + 1, x] - d[s, y - 1, x]) / 2,
        (d[s + 1, y, x] - d[s - 1, y, x]) / 2,
    )
    xx = d[s, y, x + 1] + d[s, y, x - 1] - 2 * value
    yy = d[s, y + 1, x] + d[s, y - 1, x] - 2 * value
    ss = d[s + 1, y, x] + d[s - 1, y, x] - 2 * value
    xy = (d[s, y + 1, x + 1] - d[s, y + 1, x - 1] - d[s, y - 1, x + 1] + d[s, y - 1, x - 1]) / 4
    xs = (d[s + 1, y, x + 1] - d[s + 1, y, x - 1] - d[s - 1, y, x + 1] + d[s - 1, y, x - 1]) / 4
    ys = (d[s + 1, y + 1, x] - d[s + 1, y - 1, x] - d[s - 1, y + 1, x] + d[s - 1, y - 1, x]) / 4
    flat = xx * yy - xy * xy
    if flat <= 0 or (xx + yy) ** 2 * EDGE >= (EDGE + 1) ** 2 * flat:
        return False
    a, b, c = yy * ss - ys * ys, ys * xs - xy * ss, xy * ys - yy * xs
    det = xx * a + xy * b + xs * c
    if abs(det) < 1e-12:
        return False
    dx = -(a * gx + b * gy + c * gs) / det
    dy = -(b * gx + (xx * ss - xs * xs) * gy + (xy * xs - xx * ys) * gs) / det
    ds = -(c * gx + (xy * xs - xx * ys) * gy + flat * gs) / det
    row[0], row[1], row[2], row[5] = x + dx, y + dy, s + ds, s
    row[3] = value + 0.5 * (gx * dx + gy * dy + gs * ds)
    return max(abs(dx), abs(dy), abs(ds)) <= 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _rescale(row: Any, octave: Any) -> None:
    """Turn a place in an octave into px of the working picture."""
    factor = 2.0**octave
    row[0] *= factor
    row[1] *= factor
    row[2] = SIGMA_PX * 2.0 ** (row[2] / LEVELS) * factor
    row[4] = octave


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _isolation(blobs: Any) -> Any:
    """Squared distance to the nearest blob of higher contrast that is not finer."""
    count = blobs.shape[0]
    nearest = np.full(count, 1e12)
    for i in range(count):
        for j in range(i):  # they come by contrast
            if blobs[j, 2] > blobs[i, 2] * _NARROWER:
                distance = (blobs[j, 0] - blobs[i, 0]) ** 2 + (blobs[j, 1] - blobs[i, 1]) ** 2
                nearest[i] = min(nearest[i], distance)
    return nearest


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _describe(levels: Any, octave: Any, blobs: Any, basis: Any, order: Any, codes: Any, positions: Any) -> None:
    """Fill in codes and positions of the blobs of one octave."""
    patch = np.empty((PATCH, PATCH))
    factor = 2.0**octave
    for i in range(blobs.shape[0]):
        if blobs[i, 4] != octave:
            continue
        sigma = blobs[i, 2] / factor
        level = min(max(round(LEVELS * math.log2(sigma / SIGMA_PX)), 0), levels.shape[0] - 1)
        _sample(levels[level], blobs[i, 0] / factor, blobs[i, 1] / factor, PATCH_STEP * sigma, patch)
        codes[i], positions[i] = _code(patch, blobs[i, 3], basis, order)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _sample(plane: Any, x: Any, y: Any, step: Any, patch: Any) -> None:
    """Read a patch around a place, bilinearly; outside, the rim is repeated."""
    height, width = plane.shape
    first = (PATCH - 1) / 2
    for row in range(PATCH):
        v = min(max(y + (row - first) * step, 0.0), height - 1.001)
        top = int(v)
        down = v - top
        for column in range(PATCH):
            u = min(max(x + (column - first) * step, 0.0), width - 1.001)
            left = int(u)
            across = u - left
            upper = plane[top, left] * (1 - across) + plane[top, left + 1] * across
            lower = plane[top + 1, left] * (1 - across) + plane[top + 1, left + 1] * across
            patch[row, column] = upper * (1 - down) + lower * down


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _code(patch: Any, response: Any, basis: Any, order: Any) -> Any:
    """Signs of the patch's frequencies in the position in which the lowest are positive and the one across is larger."""
    waves = _frequencies(patch, basis)
    position = np.uint8(0)
    if waves[0, 1] < 0:
        waves[:, 1::2] = -waves[:, 1::2]
        position |= np.uint8(1)
    if waves[1, 0] < 0:
        waves[1::2] = -waves[1::2]
        position |= np.uint8(2)
    if waves[1, 0] > waves[0, 1]:
        waves = waves.T.copy()
        position |= np.uint8(4)
    code = np.uint64(1 if response > 0 else 0)
    for i in range(order.shape[0]):
        bit = np.uint64(1 if waves[order[i, 1], order[i, 0]] > 0 else 0)
        code = (code << np.uint64(1)) | bit
    return code, position


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _frequencies(patch: Any, basis: Any) -> Any:
    """Cosine transform, (down, across); only the frequencies that are used."""
    count = basis.shape[0]
    across = np.zeros((PATCH, count))
    for row in range(PATCH):
        for u in range(count):
            for column in range(PATCH):
                across[row, u] += patch[row, column] * basis[u, column]
    waves = np.zeros((count, count))
    for v in range(count):
        for u in range(count - v):
            for row in range(PATCH):
                waves[v, u] += across[row, u] * basis[v, row]
    return waves
