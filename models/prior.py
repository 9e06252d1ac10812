"""The light restorer: LQ in, LRP out (LucidFlux report, eq. 1).

The released network uses SwinIR here, as DiffBIR trained it; the miniature a convolutional U-Net on the
pixel-unshuffled picture, which plays the same part (removes noise and blocks, leaves the picture soft).

Shapes: B batch, C channels, H W picture height and width.
"""

from __future__ import annotations

import itertools
from typing import TypeAlias

import torch
import torch.nn.functional as F
from spandrel.architectures.SwinIR import SwinIR
from torch import Tensor, nn

from models.autoencoder import residual_stack
from models.config import PriorConfig, SwinIRConfig
from models.padding import pad_to_multiple


class UnetPrior(nn.Module):
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


Prior: TypeAlias = UnetPrior | SwinIR


def build_prior(config: PriorConfig) -> Prior:
    """Make the light restorer that the config names.

    Raises:
        ValueError: SwinIR at these sizes does not give the input's size back.
    """
    return build_swinir(config.swinir) if config.kind == "swinir" else UnetPrior(config)


def build_swinir(config: SwinIRConfig) -> SwinIR:
    """The unmodified SwinIR at the config's sizes."""
    if config.upscale != config.unshuffle or len(config.depths) != len(config.heads):
        raise ValueError(
            f"A light restorer returns its input's size and has heads for each group; got upscale {config.upscale} after "
            f"unshuffle {config.unshuffle}, {len(config.depths)} groups and {len(config.heads)} heads. Correct prior.swinir."
        )
    return SwinIR(
        img_size=config.image_px,
        embed_dim=config.embed,
        depths=list(config.depths),
        num_heads=list(config.heads),
        window_size=config.window,
        mlp_ratio=config.mlp_ratio,
        upscale=config.upscale,
        img_range=config.range,
        upsampler=config.upsampler,
        resi_connection=config.residual,
        start_unshuffle=config.unshuffle,
    )


@torch.no_grad()
def restore_lightly(prior: Prior, config: PriorConfig, lq_01_BCHW: Tensor) -> Tensor:
    """LRP in [0, 1], any size from 1x1 px; what SwinIR needs as a multiple is padded and cropped."""
    if config.kind == "unet":
        lrp: Tensor = prior(lq_01_BCHW)
    else:
        height, width = lq_01_BCHW.shape[-2:]
        padded = pad_to_multiple(lq_01_BCHW, config.swinir.window * config.swinir.unshuffle)
        lrp = prior(padded)[..., :height, :width]
    return lrp.clamp(0, 1)
