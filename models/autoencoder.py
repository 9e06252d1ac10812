"""The image codec: FLUX's AutoencoderKL, or the small codec that the miniature uses in its place.

Both give (B, 16, H/8, W/8) for a picture (B, 3, H, W) in [-1, 1] and take it back. The small one adds a closed-form
linear path (principal components of 8x8 patches) to a convolutional residual, because minutes of training on a
processor do not teach plain convolutions what one eigendecomposition knows.

Shapes: B batch, C channels, H W height and width in the units of the tensor named.
"""

from __future__ import annotations

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
    """Linear patch codec plus convolutional residual at 1/2, 1/4 and 1/8 of the picture."""

    def __init__(self, config: AutoencoderConfig, latent: LatentConfig) -> None:
        super().__init__()
        if len(config.widths) != 3 or latent.downscale != 8:
            raise ValueError(f"The skip autoencoder has 3 widths and downscale 8; got {config.widths} and {latent.downscale}.")
        half, quarter, eighth = config.widths
        self.linear_encoder = nn.Conv2d(3, latent.channels, 8, stride=8)
        self.linear_decoder = nn.ConvTranspose2d(latent.channels, 3, 8, stride=8)
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, half, 3, padding=1),
            residual_stack(half, 1),
            nn.Conv2d(half, quarter, 4, stride=2, padding=1),
            residual_stack(quarter, 1),
            nn.Conv2d(quarter, eighth, 4, stride=2, padding=1),
            residual_stack(eighth, config.blocks),
            nn.SiLU(),
            nn.Conv2d(eighth, latent.channels, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(latent.channels, eighth, 3, padding=1),
            residual_stack(eighth, config.blocks + 1),
            nn.Conv2d(eighth, 4 * quarter, 1),
            nn.PixelShuffle(2),
            residual_stack(quarter, config.blocks),
            nn.Conv2d(quarter, 4 * half, 1),
            nn.PixelShuffle(2),
            residual_stack(half, config.blocks),
            nn.SiLU(),
            nn.Conv2d(half, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )
        for conv in (self.encoder[-1], self.decoder[-2]):
            nn.init.zeros_(conv.weight)  # type: ignore[arg-type]
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def encode(self, image_pm1_BCHW: Tensor) -> Tensor:
        """Picture to code (B, 16, H/8, W/8), before scale and shift."""
        code: Tensor = self.linear_encoder(image_pm1_BCHW) + self.encoder(image_pm1_BCHW)
        return code

    def decode(self, z_BCHW: Tensor) -> Tensor:
        """Code to picture in about [-1, 1], not clamped."""
        image: Tensor = self.linear_decoder(z_BCHW) + self.decoder(z_BCHW)
        return image

    @torch.no_grad()
    def fit_linear(self, patches_NCHW: Tensor) -> None:
        """Set the linear path to the principal components of 8x8 patches.

        Args:
            patches_NCHW: (N, 3, 8, 8) in [-1, 1], N well above 192.
        """
        flat = patches_NCHW.double().flatten(1)
        mean = flat.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov((flat - mean).T))
        channels = self.linear_encoder.out_channels
        top, basis = values.flip(0)[:channels], vectors.flip(1)[:, :channels]
        gain = top.sqrt() ** WHITENING
        analysis, synthesis = (basis / gain).T, (basis * gain).T
        self.linear_encoder.weight.copy_(analysis.reshape(channels, 3, 8, 8).float())
        self.linear_encoder.bias.copy_((-analysis @ mean).float())  # type: ignore[union-attr]
        self.linear_decoder.weight.copy_(synthesis.reshape(channels, 3, 8, 8).float())
        # one bias per colour channel is all that a transposed convolution has; the mean patch is nearly flat
        self.linear_decoder.bias.copy_(mean.reshape(3, 64).mean(1).float())  # type: ignore[union-attr]


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
