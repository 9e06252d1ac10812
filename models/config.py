"""Every size of the network, in one closed record that travels as `config.json` beside the weights.

The tiny network and the released one differ in this file only. Sizes of the released one are quoted
in the field docs (LucidFlux inference release; FLUX.1-dev).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Positive = Annotated[int, Field(gt=0)]
CONFIG_FILE = "config.json"


class Part(BaseModel):
    """Frozen and closed; an unknown size is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class LatentConfig(Part):
    """The space in which the flow runs."""

    channels: Positive = 16
    """Autoencoder channels (released: 16)."""
    downscale: Positive = 8
    """Image pixels per latent cell and side (released: 8)."""
    packing: Positive = 2
    """Latent cells per token and side (released: 2, so one token is 16x16 px)."""
    scale: float = 0.3611
    """Packed latent = scale * (code - shift) (released: 0.3611)."""
    shift: float = 0.1159
    """See scale (released: 0.1159)."""

    @property
    def token_values(self) -> int:
        """Values per token."""
        return self.channels * self.packing**2

    @property
    def token_px(self) -> int:
        """Image pixels per token and side; both image sides must be multiples of it."""
        return self.downscale * self.packing


class BackboneConfig(Part):
    """The Flux transformer."""

    hidden: Positive = 3072
    """Width (released: 3072)."""
    heads: Positive = 24
    """Attention heads (released: 24)."""
    axes: tuple[int, int, int] = (16, 56, 56)
    """Rotary dimensions of each position axis; they sum to hidden / heads (released: 16, 56, 56)."""
    double_blocks: Positive = 19
    """Blocks with separate text and image streams; only these receive control (released: 19)."""
    single_blocks: Positive = 38
    """Blocks over the joined stream (released: 38)."""
    context_dim: Positive = 4096
    """Width of prompt and semantic tokens (released: 4096)."""
    pooled_dim: Positive = 768
    """Width of the pooled prompt vector (released: 768)."""
    guidance_embeds: bool = True
    """Embed the guidance value beside the time (released: yes)."""


class ConditionerConfig(Part):
    """The two condition branches."""

    double_blocks: Positive = 2
    """Double blocks of each branch; backbone block l takes output l mod this (released: 2)."""
    hint_channels: Positive = 16
    """Channels of the hint convolutions; must equal the latent channels (released: 16)."""


class EncoderConfig(Part):
    """The SigLIP vision tower that sees the LRP."""

    hidden: Positive = 1152
    """Width (released: 1152)."""
    intermediate: Positive = 4304
    """Width of its MLPs (released: 4304)."""
    layers: Positive = 27
    """Depth (released: 27)."""
    heads: Positive = 16
    """Attention heads (released: 16)."""
    image_px: Positive = 512
    """Side of the square picture that it sees (released: 512)."""
    patch_px: Positive = 16
    """Side of a patch (released: 16)."""


class AutoencoderConfig(Part):
    """The image codec."""

    kind: Literal["kl", "skip"] = "kl"
    """`kl`: diffusers AutoencoderKL as FLUX has it; `skip`: linear codec plus a small convolutional residual."""
    widths: tuple[int, ...] = (128, 256, 512, 512)
    """Channels per level; `kl`: from the image inwards (released: 128, 256, 512, 512), `skip`: at 1/2, 1/4, 1/8."""
    blocks: Positive = 2
    """Residual blocks per level (released: 2)."""


class PriorConfig(Part):
    """The light restorer that makes the LRP."""

    widths: tuple[int, ...] = (40, 80, 120)
    """Channels at 1/2, 1/4, 1/8 of the picture."""
    blocks: Positive = 1
    """Residual blocks per level and direction."""


class NetworkConfig(Part):
    """Everything that is needed to build the modules before their weights are read."""

    latent: LatentConfig = LatentConfig()
    backbone: BackboneConfig = BackboneConfig()
    conditioner: ConditionerConfig = ConditionerConfig()
    encoder: EncoderConfig = EncoderConfig()
    autoencoder: AutoencoderConfig = AutoencoderConfig()
    prior: PriorConfig = PriorConfig()
    prompt_tokens: Positive = 512
    """Tokens of the fixed prompt (released: 512, padded)."""

    @classmethod
    def load(cls, directory: Path) -> NetworkConfig:
        """Read `config.json`.

        Raises:
            ValueError: the file is missing, is no JSON or holds an unknown or impossible size.
        """
        path = directory / CONFIG_FILE
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ValueError(
                f"Expected a network config at {path}, found none ({error}). Point to a bundle directory."
            ) from error
        except ValidationError as error:
            raise ValueError(
                f"{path} does not describe a network: {error}. Restore the file or train the bundle again."
            ) from error

    def save(self, directory: Path) -> None:
        """Write `config.json`, creating the directory."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / CONFIG_FILE).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


TINY = NetworkConfig(
    latent=LatentConfig(scale=1.0, shift=0.0),
    backbone=BackboneConfig(
        hidden=128, heads=4, axes=(4, 14, 14), double_blocks=2, single_blocks=4, context_dim=64, pooled_dim=32
    ),
    encoder=EncoderConfig(hidden=64, intermediate=128, layers=3, heads=4, image_px=64, patch_px=16),
    autoencoder=AutoencoderConfig(kind="skip", widths=(32, 64, 96), blocks=2),
    prompt_tokens=4,
)
"""Sizes of the shipped miniature: all parts at released structure, small enough to train on two processor cores."""
