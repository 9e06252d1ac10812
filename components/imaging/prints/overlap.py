"""Decide from two prints whether, how and where two pictures show the same."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.imaging.prints import dense, frames, geometry
from components.imaging.prints.layout import Print, unpack

LEAST_AGREEING = 5
"""Fewest blobs that must agree on one transform."""

Matrix = npt.NDArray[np.float64]

_INDEX, _TURNS = geometry.turns.py_func()


@dataclass(frozen=True)
class Overlap:
    """A similarity transform from the first picture to the second, and what is shared under it."""

    scale: float
    """Content in the second over content in the first, both brought to the same area."""
    rotation_degrees: float
    """Anticlockwise, after mirroring; quarter turns and at most 12 degrees besides."""
    mirrored: bool
    translation: tuple[float, float]
    """Where the first's upper left corner comes to lie, in widths and heights of the second."""
    agreeing: int
    """Blobs that agree on the transform."""
    first_share: float
    """Part of the first picture's area that is seen in the second, 0..1."""
    second_share: float
    """Part of the second picture's area that is seen in the first, 0..1."""

    @property
    def share(self) -> float:
        """Part of the smaller picture, in terms of content, that is shared."""
        return max(self.first_share, self.second_share)


def overlap(first: bytes, second: bytes) -> Overlap | None:
    """Verify that two pictures share content.

    Args:
        first: print of one picture.
        second: print of the other.

    Returns:
        What they share, or None when nothing can be proved.
    """
    if not first or not second:
        return None
    a, b = unpack(first), unpack(second)
    found = _from_blobs(a, b)
    if found is not None:
        return _shared(a, b, *found)
    between = frames.same_frame(a, b)
    if between is None:
        return None
    matrix = _working(b) @ np.vstack([between, [0, 0, 1]]) @ np.linalg.inv(_working(a))
    return _described(b, matrix[:2], 0, (1.0, 1.0))


def _from_blobs(a: Print, b: Print) -> tuple[Matrix, int] | None:
    """The (2, 3) transform that enough blobs agree on, and how many they are."""
    matched = geometry.matches(a.codes, b.codes)
    i, j = matched[:, 0], matched[:, 1]
    turned = _INDEX[a.positions[i], b.positions[j]]
    places = np.stack([a.x[i], a.y[i], a.sigma[i], b.x[j], b.y[j], b.sigma[j]], axis=1)
    found, agrees = geometry.transform(places, turned)
    agreeing = len(np.unique(j[agrees]))
    if agreeing < LEAST_AGREEING:
        return None
    p, q, tx, ty = found[1:]
    return np.column_stack([np.array([[p, -q], [q, p]]) @ _TURNS[int(found[0])], [tx, ty]]), agreeing


def _shared(a: Print, b: Print, matrix: Matrix, agreeing: int) -> Overlap:
    """Measure the shared parts on the thumbnail that shows the content coarser."""
    forward = abs(float(np.linalg.det(matrix[:, :2]))) >= 1
    coarse, fine = (a, b) if forward else (b, a)
    whole = np.vstack([matrix, [0, 0, 1]])
    between = np.linalg.inv(_working(fine)) @ (whole if forward else np.linalg.inv(whole)) @ _working(coarse)
    counts = dense.alike(coarse.thumbnail, dense.laid_over(coarse.thumbnail, fine.thumbnail, between[:2]))
    same = float(counts[2] + counts[3])
    coarse_share = same / coarse.thumbnail.size
    fine_share = min(1.0, same * abs(float(np.linalg.det(between))) / fine.thumbnail.size)
    shares = (coarse_share, fine_share) if forward else (fine_share, coarse_share)
    return _described(b, matrix, agreeing, shares)


def _described(b: Print, matrix: Matrix, agreeing: int, shares: tuple[float, float]) -> Overlap:
    """Say in people's words what a (2, 3) transform between working pictures does."""
    area = float(np.linalg.det(matrix[:, :2]))
    sign = -1.0 if area < 0 else 1.0
    return Overlap(
        scale=math.sqrt(abs(area)),
        rotation_degrees=math.degrees(math.atan2(-matrix[1, 0] * sign, matrix[0, 0] * sign)),
        mirrored=area < 0,
        translation=(float(matrix[0, 2] / b.width), float(matrix[1, 2] / b.height)),
        agreeing=agreeing,
        first_share=shares[0],
        second_share=shares[1],
    )


def _working(a: Print) -> Matrix:
    """From px centres of the thumbnail to px of the working picture, (3, 3)."""
    across, down = a.width / a.thumbnail.shape[1], a.height / a.thumbnail.shape[0]
    return np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]])
