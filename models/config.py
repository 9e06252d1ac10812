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
    mlp_ratio: Annotated[float, Field(gt=0)] = 4.0
    """Width of a block's MLP over its own (released: 4)."""
    rotary_base: Annotated[float, Field(gt=1)] = 10_000
    """Theta of the rotary embedding (released: 10000)."""


class ConditionerConfig(Part):
    """The condition branches, their modulation and the semantic path; what an ablation changes."""

    double_blocks: Positive = 2
    """Double blocks of each branch (released: 2)."""
    hint_channels: Positive = 16
    """Channels of the hint convolutions; must equal the latent channels (released: 16)."""
    variant: Literal["released", "paper"] = "released"
    """`released`: branches also see x_t, time and guidance, run in every step, and give one output per block;
    LayerNorm before scale and shift. `paper`: branches see the picture alone and run once per picture, one output;
    alpha * phi + beta from PE(t/T, l/L) (report, eq. 2-4)."""
    branches: Literal["both", "lq", "lrp"] = "both"
    """Which pictures have a branch (report, eq. 5: both)."""
    modulation: Literal["both", "time", "layer", "none"] = "both"
    """What scale and shift depend on (report, eq. 3: time and layer); `none` adds the branch outputs as they are."""
    semantic: bool = True
    """Semantic tokens of the LRP join the prompt (report, eq. 6-7)."""

    @property
    def pictures(self) -> tuple[Literal["lq", "lrp"], ...]:
        """Names of the branches."""
        return ("lq", "lrp") if self.branches == "both" else (self.branches,)


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
    activation: str = "gelu_pytorch_tanh"
    """Of its MLPs, by transformers' name (released: gelu_pytorch_tanh)."""
    norm_eps: Annotated[float, Field(gt=0)] = 1e-6
    """Of its LayerNorms (released: 1e-6)."""
    resize: Literal["pillow", "tensor"] = "pillow"
    """How the LRP becomes the square: Pillow's 8-bit bilinear (released), or torch's on floats, which stays on the
    device; they differ by at most about one level of 255."""


class AutoencoderConfig(Part):
    """The image codec."""

    kind: Literal["kl", "skip"] = "kl"
    """`kl`: diffusers AutoencoderKL as FLUX has it; `skip`: linear codec plus a small convolutional residual."""
    widths: tuple[int, ...] = (128, 256, 512, 512)
    """Channels per level; `kl`: from the image inwards (released: 128, 256, 512, 512), `skip`: at 1/2, 1/4, ... of the
    picture, one per halving."""
    blocks: Positive = 2
    """Residual blocks per level (released: 2)."""


class SwinIRConfig(Part):
    """SwinIR, by default as DiffBIR's general restorer has it."""

    embed: Positive = 180
    """Width (released: 180)."""
    depths: tuple[int, ...] = (6,) * 8
    """Blocks of each residual group (released: eight times 6)."""
    heads: tuple[int, ...] = (6,) * 8
    """Attention heads of each group (released: eight times 6)."""
    window: Positive = 8
    """Side of an attention window (released: 8)."""
    mlp_ratio: Annotated[float, Field(gt=0)] = 2.0
    """Width of a block's MLP over its own (released: 2)."""
    unshuffle: Positive = 8
    """Picture pixels per cell and side; sides must be multiples of window * unshuffle (released: 8)."""
    upscale: Positive = 8
    """Enlargement at the end; equal to `unshuffle` gives the input's size back (released: 8)."""
    image_px: Positive = 64
    """Size for which the attention masks are stored; has no influence on results (released: 64)."""
    upsampler: str = "nearest+conv"
    """Kind of enlargement (released: nearest+conv)."""
    residual: str = "1conv"
    """Convolutions at the end of a group (released: 1conv)."""
    range: float = 1.0
    """White (released: 1)."""


class PriorConfig(Part):
    """The light restorer that makes the LRP."""

    kind: Literal["swinir", "unet"] = "swinir"
    """`swinir`: the released one; `unet`: the small convolutional one of the miniature."""
    swinir: SwinIRConfig = SwinIRConfig()
    """Sizes of kind `swinir`."""
    widths: tuple[int, ...] = (40, 80, 120)
    """Kind `unet`: channels at 1/2, 1/4, 1/8 of the picture."""
    blocks: Positive = 1
    """Kind `unet`: residual blocks per level and direction."""


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
    starts: tuple[Literal["connector", "hint"], ...] = ("connector", "hint")
    """Starts of trained parts that the bundle brings; those named must be there."""

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
    latent=LatentConfig(downscale=4, scale=1.0, shift=0.0),
    backbone=BackboneConfig(
        hidden=128, heads=4, axes=(4, 14, 14), double_blocks=2, single_blocks=4, context_dim=64, pooled_dim=32
    ),
    encoder=EncoderConfig(hidden=64, intermediate=128, layers=3, heads=4, image_px=64, patch_px=16, resize="tensor"),
    prior=PriorConfig(kind="unet"),
    autoencoder=AutoencoderConfig(kind="skip", widths=(32, 64), blocks=2),
    prompt_tokens=4,
)
"""Sizes of the shipped miniature: all parts at released structure, small enough to train on two processor cores."""
