"""From pixels of pairs to what the network is trained on: what the frozen parts make of them.

Shapes: B batch, T tokens, D values per token, S semantic tokens, E feature width.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from components.imaging.degrade.batch import apply_batch
from components.train.pixels import PairPixels, PixelSource
from models.bundle import FrozenParts

OPERATOR = "features-1"
NAMES = ("lq_u8", "lrp_01", "x0_BTD", "features_BSE")
HQ = "hq_u8"
"""One more, where the loss looks at pixels."""

Features = Mapping[str, Tensor]
"""lq_u8 and hq_u8 (B, 3, H, W) uint8; lrp_01 (B, 3, H, W) float16; x0_BTD and features_BSE float32."""


class FeatureSource(Protocol):
    """Gives what the frozen parts made of pairs."""

    def take(self, indices: Sequence[int]) -> Features:
        """Features of some rows of one size, stacked, where they happen to be."""


@dataclass
class LiveFeatures:
    """Computes features each time they are asked for, where the frozen parts are."""

    pixels: PairPixels
    frozen: FrozenParts
    bf16: bool = False
    """Compute in bfloat16; what comes out is float16 and float32 as ever."""
    source: PixelSource | None = None
    """Gives the pixels, `pixels` itself by default."""
    names: tuple[str, ...] = NAMES
    """What `take` gives."""

    def take(self, indices: Sequence[int]) -> Features:
        """See FeatureSource."""
        return self.complete(indices, {})

    @torch.no_grad()
    def complete(self, indices: Sequence[int], kept: Features, names: Collection[str] = ()) -> Features:
        """Compute what is missing.

        Args:
            indices: rows of one size.
            kept: features of these rows that are there already.
            names: what is asked for; `self.names` by default.
        """
        names = names or self.names
        device = self.frozen.device
        hq_u8, lq_u8 = self._pixels(indices)
        made = {"lq_u8": lq_u8, HQ: hq_u8, **kept}
        missing = set(names) - set(made)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.bf16):
            if missing & {"lrp_01", "features_BSE"} and "lrp_01" not in made:
                made["lrp_01"] = self.frozen.lrp(_floats(lq_u8, device) / 255).clamp(0, 1).half()
            if "x0_BTD" in missing:
                made["x0_BTD"] = self.frozen.encode(_floats(hq_u8, device) / 127.5 - 1).float()
            if "features_BSE" in missing:
                made["features_BSE"] = self.frozen.features(made["lrp_01"].to(device).float()).float()
        return {name: made[name].contiguous() for name in (*NAMES, HQ) if name in names}

    def _pixels(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """HQ and LQ, each (B, 3, H, W) uint8."""
        made = (self.source or self.pixels).make(indices)
        if len(made) == 1:
            return apply_batch(list(made[0]), self.pixels.undone(indices), self.frozen.device)
        hq_u8, lq_u8 = (torch.from_numpy(side) for side in made)
        return hq_u8, lq_u8


def _floats(image_u8: Tensor, device: torch.device) -> Tensor:
    """Channels last: the layout in which convolutions are faster on processors."""
    return image_u8.to(device).float().contiguous(memory_format=torch.channels_last)
