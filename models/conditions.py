"""What each tile of a large picture is told: hints of its window, and the semantic tokens of its own LRP.

A tile gets the features of what it shows, not of the whole picture, because the network was trained on crops of a
tile's size, whose features came from the crop.

Shapes: B batch, C channels, H W height and width in px.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.bundle import FrozenParts
from models.field import Field
from models.lucidflux import Condition
from models.tiling import Tile

KEPT_BYTES = 2**30
"""Prepared conditions that are kept over the steps; those of further tiles are prepared again in each step (about 1 % more
work at the released sizes)."""


class TileConditions:
    """Prepared conditions of the tiles of one padded picture."""

    def __init__(self, frozen: FrozenParts, field: Field, lq_01_BCHW: Tensor, lrp_01_BCHW: Tensor) -> None:
        self.frozen, self.field, self.lq_01, self.lrp_01 = frozen, field, lq_01_BCHW, lrp_01_BCHW
        self.features: dict[Tile, Tensor] = {}
        self.kept: dict[Tile, Any] = {}
        self.free_bytes = KEPT_BYTES

    def of(self, tile: Tile) -> Any:
        """What the field prepared for a tile, given in px."""
        if tile in self.kept:
            return self.kept[tile]
        prepared = self.field.prepare(self._condition(tile))
        size = tensor_bytes(prepared)
        if size <= self.free_bytes:
            self.free_bytes -= size
            self.kept[tile] = prepared
        return prepared

    def _condition(self, tile: Tile) -> Condition:
        lq_01, lrp_01 = self.lq_01[(..., *tile.window)], self.lrp_01[(..., *tile.window)]
        if tile not in self.features:
            self.features[tile] = self.frozen.features(lrp_01)
        return Condition(lq_01 * 2 - 1, lrp_01 * 2 - 1, self.features[tile], tile.height, tile.width)


def tensor_bytes(value: Any) -> int:
    """Bytes of all tensors in a nest of dataclasses, mappings and sequences."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if dataclasses.is_dataclass(value):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, Mapping):
        value = list(value.values())
    return sum(tensor_bytes(item) for item in value) if isinstance(value, list | tuple) else 0
