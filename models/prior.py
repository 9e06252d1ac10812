"""The light restorer: LQ in, LRP out.

The released network uses SwinIR here; the miniature a convolutional U-Net on the pixel-unshuffled picture, which
plays the same part (removes noise and blocks, leaves the picture soft).

Shapes: B batch, C channels, H W picture height and width.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.autoencoder import residual_stack
from models.config import PriorConfig


class Prior(nn.Module):
    """U-Net at 1/2, 1/4, ... of the picture that predicts a correction of the LQ."""

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        widths, blocks = config.widths, config.blocks
        self.head = nn.Conv2d(12, widths[0], 3, padding=1)
        self.down_stacks = nn.ModuleList(residual_stack(width, blocks) for width in widths)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in itertools.pairwise(widths))
        self.ups = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in itertools.pairwise(widths))
        self.up_stacks = nn.ModuleList(residual_stack(width, blocks) for width in widths[:-1])
        self.tail = nn.Conv2d(widths[0], 12, 3, padding=1)
        self.multiple = 2 ** len(widths)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]

    def forward(self, lq_01_BCHW: Tensor) -> Tensor:
        """Restore lightly; any size of at least one pixel, output in about [0, 1], not clamped."""
        height, width = lq_01_BCHW.shape[-2:]
        padded = F.pad(lq_01_BCHW, (0, -width % self.multiple, 0, -height % self.multiple), mode="replicate")
        x = self.head(F.pixel_unshuffle(padded, 2))
        skips: list[Tensor] = []
        for index, stack in enumerate(self.down_stacks):
            x = stack(x)
            if index < len(self.downs):
                skips.append(x)
                x = self.downs[index](x)
        for index in reversed(range(len(self.ups))):
            x = self.up_stacks[index](F.pixel_shuffle(self.ups[index](x), 2) + skips[index])
        correction = F.pixel_shuffle(self.tail(F.silu(x)), 2)
        restored: Tensor = padded + correction
        return restored[..., :height, :width]


@torch.no_grad()
def restore_lightly(prior: Prior, lq_01_BCHW: Tensor) -> Tensor:
    """LRP in [0, 1]."""
    lrp: Tensor = prior(lq_01_BCHW)
    return lrp.clamp(0, 1)
