"""Cut a large field into overlapping tiles and blend what they give into one field without seams.

A field is a picture in px or a latent in cells; sides and offsets are in its own unit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

GRID = {torch.float32: 2.0**23, torch.float64: 2.0**32}
"""Steps per unit of the grid that blended terms are rounded to. Sums on the grid are exact, and so independent of their
order, up to magnitude 2 in float32 (pictures in [0, 1]) and 2**20 in float64 (latents)."""


@dataclass(frozen=True)
class Tile:
    """One window of the field."""

    top: int
    left: int
    height: int
    width: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def finer(self, factor: int) -> Tile:
        """The same window in a unit `factor` times smaller, as px are to cells."""
        return Tile(self.top * factor, self.left * factor, self.height * factor, self.width * factor)

    def coarser(self, factor: int) -> Tile:
        """The same window in a unit `factor` times larger."""
        return Tile(self.top // factor, self.left // factor, self.height // factor, self.width // factor)


def offsets(length: int, tile: int, overlap: int, multiple: int) -> list[int]:
    """Starts of tiles that cover a length; neighbours overlap by at least `overlap`, spread evenly.

    Raises:
        ValueError: the overlap leaves no progress, or a side is off the grid.
    """
    if not 0 <= overlap <= tile - multiple or tile % multiple or length % multiple:
        raise ValueError(
            f"Tiles of {tile} with overlap {overlap} over a length of {length} do not fit a grid of {multiple}; "
            "use multiples of the grid and an overlap below the tile by at least one of its steps."
        )
    if length <= tile:
        return [0]
    overlap = -(-overlap // multiple) * multiple
    count = -(-(length - overlap) // (tile - overlap))
    last = (length - tile) // multiple
    return [index * last // (count - 1) * multiple for index in range(count)]


def plan(height: int, width: int, *, tile: int, overlap: int, multiple: int) -> list[Tile]:
    """Tiles in row order that cover a field; all of one size."""
    rows = offsets(height, tile, overlap, multiple)
    columns = offsets(width, tile, overlap, multiple)
    return [Tile(top, left, min(tile, height), min(tile, width)) for top in rows for left in columns]


def lines(starts: Collection[int], size: int) -> dict[int, Tensor]:
    """Start -> weight of each place along one side of a tile (size,), float64, positive.

    A raised cosine over what a tile shares with each neighbour, 1 elsewhere; the tiles' weights sum to 1 at each place.
    """
    ordered = sorted(starts)
    weights = {}
    for index, start in enumerate(ordered):
        line = torch.ones(size, dtype=torch.float64)
        before = ordered[index - 1] + size - start if index else 0
        after = start + size - ordered[index + 1] if index + 1 < len(ordered) else 0
        line[:before] *= _rise(before)
        line[size - after :] *= _rise(after).flip(0)
        weights[start] = line
    total = torch.zeros(ordered[-1] + size, dtype=torch.float64)
    for start in ordered:
        total[start : start + size] += weights[start]
    return {start: line / total[start : start + size] for start, line in weights.items()}


def blend(tiles: Sequence[Tile], part: Callable[[Tile], Tensor], dtype: torch.dtype = torch.float64) -> Tensor:
    """Weighted mean (..., H, W) of what each tile gives; the same to the last bit whatever the order of the tiles.

    Args:
        tiles: windows that cover the field; a single one is given back as it is.
        part: values of a tile, (..., height, width).
        dtype: of the sum; float32 needs half the memory and holds values in [-1, 1] only.
    """
    if len(tiles) == 1:
        return part(tiles[0])
    rows = lines({tile.top for tile in tiles}, tiles[0].height)
    columns = lines({tile.left for tile in tiles}, tiles[0].width)
    total: Tensor | None = None
    for tile in tiles:
        values = part(tile)
        if total is None:
            size = (max(rows) + tile.height, max(columns) + tile.width)
            total = torch.zeros(*values.shape[:-2], *size, dtype=dtype, device=values.device)
        weight = (GRID[dtype] * rows[tile.top][:, None] * columns[tile.left]).to(total)
        total[(..., *tile.window)] += (values.to(dtype) * weight).round_()
    assert total is not None
    return total.div_(GRID[dtype]).to(values.dtype)


def _rise(size: int) -> Tensor:
    return 0.5 - 0.5 * torch.cos(torch.pi * (torch.arange(size, dtype=torch.float64) + 0.5) / max(size, 1))
