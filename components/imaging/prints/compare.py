"""Decide from two prints whether, how and where two pictures show the same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from components.imaging.prints import dense, frames, geometry, keypoints
from components.imaging.prints.layout import Print, unpack

LEAST_AGREEING = 5
"""Fewest blobs that must agree on one transform."""
LEAST_EVIDENCE = 1.5
"""Agreeing blobs times the part that they are of those that could agree: few among many are chance, or a mark."""
LEAST_SPREAD = 0.025
"""Least area over which they must be spread, as a part of the compared area: one watermark is not a picture."""

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
    """Blobs that agree on the transform; 0 for pictures that were compared as frames."""
    first_share: float
    """Part of the first picture's area that is seen in the second, 0..1."""
    second_share: float
    """Part of the second picture's area that is seen in the first, 0..1."""

    @property
    def share(self) -> float:
        """Part of the smaller picture, in terms of content, that is shared."""
        return max(self.first_share, self.second_share)


class _Agreed(NamedTuple):
    """A (3, 3) transform between working pictures, and the blobs that agree on it: (n, 6) x, y, sigma in both."""

    matrix: Matrix
    places: Matrix

    def reversed(self) -> _Agreed:
        """The same from the second picture to the first."""
        return _Agreed(_inverse(self.matrix), self.places[:, [3, 4, 5, 0, 1, 2]])


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
    agreed = _from_blobs(a, b)
    if agreed is not None:
        return _described(b, agreed.matrix, len(agreed.places), _shares(a, b, agreed))
    between = frames.same_frame(a, b)
    if between is None:
        return None
    return _described(b, _working(b) @ between @ _inverse(_working(a)), 0, (1.0, 1.0))


def _from_blobs(a: Print, b: Print) -> _Agreed | None:
    """The transform that enough blobs agree on."""
    matched = geometry.matches(a.codes, b.codes)
    i, j = matched[:, 0], matched[:, 1]
    turned = _INDEX[a.positions[i], b.positions[j]]
    places = np.stack([a.x[i], a.y[i], a.sigma[i], b.x[j], b.y[j], b.sigma[j]], axis=1)
    found, agrees = geometry.transform(places, turned)
    if len(np.unique(j[agrees])) < LEAST_AGREEING:
        return None
    p, q, *there = found[1:]
    linear = np.array([[p, -q], [q, p]]) @ _TURNS[int(found[0])]
    return _Agreed(np.vstack([np.column_stack([linear, there]), [0, 0, 1]]), places[agrees])


def _shares(a: Print, b: Print, agreed: _Agreed) -> tuple[float, float]:
    """Parts of both pictures that show the same."""
    if _scale(agreed.matrix) >= 1:
        return _shares_of_coarser(a, b, agreed)
    second, first = _shares_of_coarser(b, a, agreed.reversed())
    return first, second


def _shares_of_coarser(coarse: Print, fine: Print, agreed: _Agreed) -> tuple[float, float]:
    """Compare the thumbnails on the px of the one that shows the content coarser."""
    to_thumbnail = _inverse(_working(coarse))
    finer = _inverse(_working(fine)) @ agreed.matrix @ _working(coarse)
    laid, reached = dense.laid_over(coarse.thumbnail, fine.thumbnail, finer[:2])
    places = _placed(to_thumbnail, agreed.places[:, 0], agreed.places[:, 1])
    own = _placed(to_thumbnail, coarse.x, coarse.y)
    seen = fine.sigma >= _scale(agreed.matrix) * keypoints.SIGMA_PX
    others = _placed(to_thumbnail @ _inverse(agreed.matrix), fine.x[seen], fine.y[seen])
    expected = min(_within(_placed(finer, own[:, 0], own[:, 1]), fine), _within(others, coarse))
    if len(places) ** 2 < LEAST_EVIDENCE * expected or _spread(places) < LEAST_SPREAD * reached:
        return 0.0, 0.0
    there = np.where(np.isnan(laid), np.nan, coarse.thumbnail)
    doubtful = dense.contradicted(coarse.thumbnail.shape, own, others, places)
    same = reached * float(dense.alike(dense.detail(there), dense.detail(laid), doubtful))
    return min(1.0, same / coarse.thumbnail.size), min(1.0, same * _scale(finer) ** 2 / fine.thumbnail.size)


def _within(places: Matrix, picture: Print) -> int:
    """Count the places that lie in a picture's thumbnail."""
    most = np.array(picture.thumbnail.shape[::-1]) - 1
    return int(np.count_nonzero(np.all((places >= 0) & (places <= most), axis=1)))


def _spread(places: Matrix) -> float:
    """Area of the rectangle over which places would be spread evenly."""
    return 12 * math.sqrt(max(0.0, float(np.linalg.det(np.cov(places.T)))))


def _described(b: Print, matrix: Matrix, agreeing: int, shares: tuple[float, float]) -> Overlap:
    """Say in people's words what a transform between working pictures does."""
    mirrored = float(np.linalg.det(matrix)) < 0
    sign = -1.0 if mirrored else 1.0
    return Overlap(
        scale=_scale(matrix),
        rotation_degrees=math.degrees(math.atan2(-matrix[1, 0] * sign, matrix[0, 0] * sign)),
        mirrored=mirrored,
        translation=(float(matrix[0, 2] / b.width), float(matrix[1, 2] / b.height)),
        agreeing=agreeing,
        first_share=shares[0],
        second_share=shares[1],
    )


def _scale(matrix: Matrix) -> float:
    return math.sqrt(abs(float(np.linalg.det(matrix))))


def _inverse(matrix: Matrix) -> Matrix:
    return np.asarray(np.linalg.inv(matrix), np.float64)


def _placed(matrix: Matrix, x: Matrix, y: Matrix) -> Matrix:
    """Bring places through a transform, (n, 2)."""
    return np.ascontiguousarray((matrix[:2, :2] @ np.stack([x, y]) + matrix[:2, 2:]).T)


def _working(a: Print) -> Matrix:
    """From px centres of the thumbnail to px of the working picture, (3, 3)."""
    across, down = a.width / a.thumbnail.shape[1], a.height / a.thumbnail.shape[0]
    return np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]])
