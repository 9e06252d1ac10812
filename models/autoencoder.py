"""The image codec: FLUX's AutoencoderKL, or the small codec that the miniature uses in its place.

Both give (B, C, H/d, W/d) for a picture (B, 3, H, W) in [-1, 1] and take it back; FLUX has C = 16 and d = 8. The small
one adds a closed-form linear path (principal components of d x d patches) to a convolutional residual, because minutes
of training on a processor do not teach plain convolutions what one eigendecomposition knows.

Shapes: B batch, C channels, H W height and width in the units of the tensor named, d the latent's downscale.
"""

from __future__ import annotations

import itertools
from typing import TypeAlias

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from models.config import AutoencoderConfig, LatentConfig

WHITENING = 0.5
"""Latent channel i is divided by std_i ** WHITENING: between pixel error (0) and equal variance (1)."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around SiLU, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv_2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.normal_(self.conv_2.weight, std=1e-3)
        nn.init.zeros_(self.conv_2.bias)  # type: ignore[arg-type]

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Keep the shape."""
        hidden: Tensor = self.conv_2(F.silu(self.conv_1(F.silu(x_BCHW))))
        return x_BCHW + hidden


def residual_stack(width: int, blocks: int) -> nn.Sequential:
    """Chain residual blocks of one width."""
    return nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))


class SkipAutoencoder(nn.Module):
    """Linear patch codec plus convolutional residual at 1/2, 1/4, ... of the picture, down to the latent's size."""

    def __init__(self, config: AutoencoderConfig, latent: LatentConfig) -> None:
        super().__init__()
        widths, size = config.widths, latent.downscale
        if not widths or 2 ** len(widths) != size:
            raise ValueError(f"The skip autoencoder has one width per halving of the picture; got {widths} for downscale {size}.")
        self.linear_encoder = nn.Conv2d(3, latent.channels, size, stride=size)
        self.linear_decoder = nn.ConvTranspose2d(latent.channels, 3, size, stride=size)
        down: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(12, widths[0], 3, padding=1)]
        for wide, deep in itertools.pairwise(widths):
            down += [residual_stack(wide, 1), nn.Conv2d(wide, deep, 4, stride=2, padding=1)]
        down += [residual_stack(widths[-1], config.blocks), nn.SiLU(), nn.Conv2d(widths[-1], latent.channels, 3, padding=1)]
        up: list[nn.Module] = [nn.Conv2d(latent.channels, widths[-1], 3, padding=1)]
        up += [residual_stack(widths[-1], config.blocks + 1)]
        for wide, deep in reversed(list(itertools.pairwise(widths))):
            up += [nn.Conv2d(deep, 4 * wide, 1), nn.PixelShuffle(2), residual_stack(wide, config.blocks)]
        up += [nn.SiLU(), nn.Conv2d(widths[0], 12, 3, padding=1), nn.PixelShuffle(2)]
        self.encoder, self.decoder = nn.Sequential(*down), nn.Sequential(*up)
        for conv in (self.encoder[-1], self.decoder[-2]):
            nn.init.zeros_(conv.weight)  # type: ignore[arg-type]
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def encode(self, image_pm1_BCHW: Tensor) -> Tensor:
        """Picture to code (B, C, H/d, W/d), before scale and shift."""
        code: Tensor = self.linear_encoder(image_pm1_BCHW) + self.encoder(image_pm1_BCHW)
        return code

    def decode(self, z_BCHW: Tensor) -> Tensor:
        """Code to picture in about [-1, 1], not clamped."""
        image: Tensor = self.linear_decoder(z_BCHW) + self.decoder(z_BCHW)
        return image

    @torch.no_grad()
    def fit_linear(self, patches_NCHW: Tensor) -> None:
        """Set the linear path to the principal components of d x d patches.

        Args:
            patches_NCHW: (N, 3, d, d) in [-1, 1], N well above 3 d d.
        """
        flat = patches_NCHW.double().flatten(1)
        mean = flat.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov((flat - mean).T))
        channels = self.linear_encoder.out_channels
        top, basis = values.flip(0)[:channels], vectors.flip(1)[:, :channels]
        gain = top.sqrt() ** WHITENING
        analysis, synthesis = (basis / gain).T, (basis * gain).T
        self.linear_encoder.weight.copy_(analysis.view_as(self.linear_encoder.weight).float())
        self.linear_encoder.bias.copy_((-analysis @ mean).float())  # type: ignore[union-attr]
        self.linear_decoder.weight.copy_(synthesis.view_as(self.linear_decoder.weight).float())
        # one bias per colour channel is all that a transposed convolution has; the mean patch is nearly flat
        self.linear_decoder.bias.copy_(mean.reshape(3, -1).mean(1).float())  # type: ignore[union-attr]


Autoencoder: TypeAlias = SkipAutoencoder | AutoencoderKL


def build_autoencoder(config: AutoencoderConfig, latent: LatentConfig) -> Autoencoder:
    """Make the codec that the config names; `kl` is diffusers' unmodified class at the config's sizes."""
    if config.kind == "skip":
        return SkipAutoencoder(config, latent)
    levels = len(config.widths)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=config.widths,
        layers_per_block=config.blocks,
        latent_channels=latent.channels,
        norm_num_groups=32,
        scaling_factor=latent.scale,
        shift_factor=latent.shift,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def encode(autoencoder: Autoencoder, image_pm1_BCHW: Tensor) -> Tensor:
    """Picture in [-1, 1] to code, before scale and shift; the posterior's mean where there is a posterior."""
    if isinstance(autoencoder, SkipAutoencoder):
        return autoencoder.encode(image_pm1_BCHW)
    mean: Tensor = autoencoder.encode(image_pm1_BCHW).latent_dist.mode()
    return mean


def decode(autoencoder: Autoencoder, z_BCHW: Tensor) -> Tensor:
    """Code to picture in about [-1, 1], not clamped."""
    if isinstance(autoencoder, SkipAutoencoder):
        return autoencoder.decode(z_BCHW)
    image: Tensor = autoencoder.decode(z_BCHW).sample
    return image
