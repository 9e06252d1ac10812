"""Values per tile, and each tile beside its neighbours."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from components.imaging.inspection.findings import Place
from components.imaging.inspection.seen import Plane

LEAST = 9
"""Tiles below which a picture has no neighbours to speak of."""


class Tiles(NamedTuple):
    """Means over square tiles that overlap by half."""

    means: Plane
    half: float
    """Half a tile's side, in elements of what was averaged."""

    def place(self, index: int, scale: float) -> Place:
        """Where a tile lies, in px.

        Args:
            index: into the flattened means.
            scale: px of the picture per element.
        """
        row, column = divmod(index, self.means.shape[1])
        step = self.half * scale
        return round(row * step), round(column * step), round(2 * step), round(2 * step)


def tiled(plane: Plane, side: int) -> Tiles | None:
    """Average a plane over tiles of a side; what is left at the right and the bottom is not looked at.

    Returns:
        None where there are too few tiles for comparing them.
    """
    half = side // 2
    rows, columns = plane.shape[0] // half, plane.shape[1] // half
    if min(rows, columns) < 2 or (rows - 1) * (columns - 1) < LEAST:
        return None
    halves = cv2.resize(plane[: rows * half, : columns * half], (columns, rows), interpolation=cv2.INTER_AREA)
    means = (halves[:-1, :-1] + halves[1:, :-1] + halves[:-1, 1:] + halves[1:, 1:]) / 4
    return Tiles(means, half)


def neighbours(means: Plane) -> Plane:
    """Median of the eight tiles around each that do not overlap it; at the borders those inside stand for those outside."""
    padded = np.pad(means, 2, mode="reflect")
    rows, columns = means.shape
    around = [
        padded[down : down + rows, right : right + columns]
        for down in (0, 2, 4)
        for right in (0, 2, 4)
        if (down, right) != (2, 2)
    ]
    found: Plane = np.median(np.stack(around), axis=0)
    return found
