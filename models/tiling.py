"""Cut a large picture into overlapping tiles and blend them back without seams.

Sides are in px; every offset is a multiple of the grid that the latent noise lives on, so that overlapping tiles can
share one noise field.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tile:
    """One window of the padded picture."""

    top: int
    left: int
    height: int
    width: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def offsets(length: int, tile: int, overlap: int, multiple: int) -> list[int]:
    """Starts of tiles that cover a length; neighbours overlap by at least `overlap`, spread evenly.

    Raises:
        ValueError: the overlap leaves no progress, or a side is off the grid.
    """
    if not 0 <= overlap < tile or tile % multiple or length % multiple:
        raise ValueError(
            f"Tiles of {tile} px with overlap {overlap} px over {length} px do not fit a grid of {multiple} px; "
            "use multiples of the grid and an overlap below the tile."
        )
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    last = (length - tile) // multiple
    return [round(index * last / (count - 1)) * multiple for index in range(count)]


def plan(height: int, width: int, *, tile: int, overlap: int, multiple: int) -> list[Tile]:
    """Tiles in row order that cover a picture."""
    rows = offsets(height, tile, overlap, multiple)
    columns = offsets(width, tile, overlap, multiple)
    return [Tile(top, left, min(tile, height), min(tile, width)) for top in rows for left in columns]


def weight(tile: Tile, height: int, width: int, overlap: int) -> Tensor:
    """Blending weight (H, W): a raised cosine over the overlap at inner borders, 1 elsewhere; always positive."""
    rows = _ramp(tile.height, overlap, first=tile.top == 0, last=tile.top + tile.height == height)
    columns = _ramp(tile.width, overlap, first=tile.left == 0, last=tile.left + tile.width == width)
    return rows[:, None] * columns[None]


def _ramp(length: int, overlap: int, *, first: bool, last: bool) -> Tensor:
    line = torch.ones(length)
    size = min(overlap, length)
    rise = 0.5 - 0.5 * torch.cos(torch.pi * (torch.arange(size) + 0.5) / max(size, 1))
    if not first:
        line[:size] *= rise
    if not last:
        line[length - size :] *= rise.flip(0)
    return line.clamp_min(1e-4)
