"""A bundle: the directory that holds the frozen parts of one network.

`config.json` and one safetensors file per part, in any floating type on disk, float32 in memory unless asked
otherwise. Every file must hold exactly the tensors that the config implies: nothing is loaded silently in part.

Shapes: B batch, C channels, H W picture height and width in px, T tokens, D values per token, S tokens, E width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from diffusers import FluxTransformer2DModel
from diffusers.models.transformers.transformer_flux import FluxPosEmbed, FluxSingleTransformerBlock
from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import SiglipVisionConfig, SiglipVisionModel

from models import autoencoder as codec
from models.conditioner import hint_convolutions, resized_mlp
from models.config import CONFIG_FILE, BackboneConfig, EncoderConfig, LatentConfig, NetworkConfig
from models.connector import build_connector
from models.files import FROZEN_FILES, hashes
from models.latents import pack, unpack
from models.pixels import encoder_square
from models.prior import Prior, build_prior, restore_lightly

if TYPE_CHECKING:
    from models.memory import Placement

__all__ = [
    "FROZEN_FILES",
    "FrozenParts",
    "Prompt",
    "build",
    "build_backbone",
    "build_encoder",
    "hashes",
    "load_frozen",
    "read_weights",
    "write_weights",
]


SINGLE_PRECISION = ("prior", "autoencoder")
"""Parts that the released program runs in float32."""


class Prompt(nn.Module):
    """The fixed prompt: its tokens and its pooled vector, computed once."""

    def __init__(self, tokens: int, backbone: BackboneConfig) -> None:
        super().__init__()
        self.tokens_SD = nn.Parameter(0.02 * torch.randn(tokens, backbone.context_dim))
        self.pooled_D = nn.Parameter(torch.zeros(backbone.pooled_dim))


def build_backbone(config: BackboneConfig, latent: LatentConfig) -> FluxTransformer2DModel:
    """The unmodified Flux transformer at the config's sizes.

    Raises:
        ValueError: the rotary axes do not fill a head.
    """
    if config.hidden % config.heads or sum(config.axes) != config.hidden // config.heads:
        raise ValueError(
            f"Rotary axes {config.axes} must sum to hidden / heads = {config.hidden} / {config.heads}; "
            "correct the backbone config."
        )
    backbone = FluxTransformer2DModel(
        in_channels=latent.token_values,
        num_layers=config.double_blocks,
        num_single_layers=config.single_blocks,
        attention_head_dim=config.hidden // config.heads,
        num_attention_heads=config.heads,
        joint_attention_dim=config.context_dim,
        pooled_projection_dim=config.pooled_dim,
        guidance_embeds=config.guidance_embeds,
        axes_dims_rope=config.axes,
    )
    if config.rotary_base != backbone.pos_embed.theta:
        backbone.pos_embed = FluxPosEmbed(theta=config.rotary_base, axes_dim=config.axes)
    for block in backbone.transformer_blocks:
        resized_mlp(block, config)
    if config.mlp_ratio != 4:
        sizes = {"num_attention_heads": config.heads, "attention_head_dim": config.hidden // config.heads}
        backbone.single_transformer_blocks = nn.ModuleList(
            FluxSingleTransformerBlock(dim=config.hidden, mlp_ratio=config.mlp_ratio, **sizes)
            for _ in range(config.single_blocks)
        )
    return backbone


def build_encoder(config: EncoderConfig) -> SiglipVisionModel:
    """The SigLIP vision tower without its pooling head."""
    return SiglipVisionModel(
        SiglipVisionConfig(
            hidden_size=config.hidden,
            intermediate_size=config.intermediate,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            image_size=config.image_px,
            patch_size=config.patch_px,
            hidden_act=config.activation,
            layer_norm_eps=config.norm_eps,
            vision_use_head=False,
        )
    )


@dataclass
class FrozenParts:
    """Everything that training leaves alone; in evaluation mode, without gradients."""

    config: NetworkConfig
    autoencoder: codec.Autoencoder
    backbone: FluxTransformer2DModel
    prior: Prior
    encoder: SiglipVisionModel
    prompt: Prompt
    connector: ReduxImageEncoder | None
    """Start of the trained connector, not used once an adapter brings its own; None where the bundle has none."""
    hint: nn.Sequential | None
    """Start of the trained hint convolutions: they give about the scaled latent of the picture that they see."""
    placement: Placement | None = None
    """Brings each part to the device while it works; None: all parts are where they are needed."""

    def using(self, part: str) -> AbstractContextManager[None]:
        """Hold a part (`prior`, `autoencoder`, `encoder`, or `network`: backbone and adapter) where it can work."""
        return nullcontext() if self.placement is None else self.placement.using(part)

    @property
    def device(self) -> torch.device:
        """Where the parts live."""
        return self.prompt.tokens_SD.device

    def modules(self) -> dict[str, nn.Module]:
        """Part name -> module of each part that is there, in the order of FROZEN_FILES."""
        return {name: module for name in FROZEN_FILES if (module := getattr(self, name)) is not None}

    def lrp(self, lq_01_BCHW: Tensor) -> Tensor:
        """Restore lightly: LQ to LRP, both in [0, 1], any size."""
        with self.using("prior"):
            lrp_01 = restore_lightly(self.prior, self.config.prior, lq_01_BCHW.to(dtype_of(self.prior)))
        return lrp_01.to(lq_01_BCHW.dtype)

    @torch.no_grad()
    def encode(self, image_pm1_BCHW: Tensor) -> Tensor:
        """Picture in [-1, 1] to its scaled, packed latent (B, T, D).

        Raises:
            ValueError: a side is no multiple of a token's side.
        """
        height_px, width_px = image_pm1_BCHW.shape[-2:]
        token_px = self.config.latent.token_px
        if height_px % token_px or width_px % token_px:
            raise ValueError(
                f"A picture of {width_px}x{height_px} px cannot be packed: both sides must be multiples of {token_px} px; "
                "pad it first."
            )
        with self.using("autoencoder"):
            code_BCHW = codec.encode(self.autoencoder, image_pm1_BCHW.to(dtype_of(self.autoencoder))).to(image_pm1_BCHW.dtype)
        return pack(self.config.latent.scale * (code_BCHW - self.config.latent.shift), self.config.latent.packing)

    @torch.no_grad()
    def decode(self, z_BTD: Tensor, height_px: int, width_px: int) -> Tensor:
        """Packed latent to a picture in about [-1, 1], not clamped."""
        return self.decode_through(z_BTD, height_px, width_px)

    def decode_through(self, z_BTD: Tensor, height_px: int, width_px: int) -> Tensor:
        """As `decode`, with gradients to the latent: for losses on pixels."""
        latent = self.config.latent
        code_BCHW = unpack(z_BTD, height_px // latent.token_px, width_px // latent.token_px, latent.packing)
        unscaled_BCHW = (code_BCHW / latent.scale + latent.shift).to(dtype_of(self.autoencoder))
        with self.using("autoencoder"):
            return codec.decode(self.autoencoder, unscaled_BCHW).to(z_BTD.dtype)

    @torch.no_grad()
    def features(self, lrp_01_BCHW: Tensor) -> Tensor:
        """Last hidden state (B, S, E) of the image encoder; the aspect ratio is not kept, as released."""
        encoder = self.config.encoder
        seen_pm1 = encoder_square(lrp_01_BCHW, encoder.image_px, eight_bit=encoder.resize == "pillow")
        with self.using("encoder"):
            states: Tensor = self.encoder(pixel_values=seen_pm1.to(dtype_of(self.encoder))).last_hidden_state
        return states


def dtype_of(module: nn.Module) -> torch.dtype:
    """Element type that a part computes in: that of its first floating tensor."""
    return next(tensor.dtype for tensor in module.parameters() if tensor.is_floating_point())


def build(config: NetworkConfig, *, empty: bool = False) -> FrozenParts:
    """Make all parts with their default initialisation; inside `torch.device("meta")` without numbers.

    Args:
        config: sizes.
        empty: leave the backbone, which holds nearly everything, without numbers until its weights are read.
    """
    with torch.device("cpu"):  # SwinIR computes with its values while it is made
        prior = build_prior(config.prior)
    with torch.device("meta") if empty else nullcontext():
        backbone = build_backbone(config.backbone, config.latent)
    return FrozenParts(
        config=config,
        autoencoder=codec.build_autoencoder(config.autoencoder, config.latent),
        backbone=backbone,
        prior=prior,
        encoder=build_encoder(config.encoder),
        prompt=Prompt(config.prompt_tokens, config.backbone),
        connector=build_connector(config) if "connector" in config.starts else None,
        hint=hint_convolutions(config.conditioner.hint_channels, config.latent.downscale) if "hint" in config.starts else None,
    )


def load_frozen(directory: Path, device: torch.device | str = "cpu", *, dtype: torch.dtype = torch.float32) -> FrozenParts:
    """Read a bundle.

    Args:
        directory: the bundle.
        device: where to put it.
        dtype: element type in memory; light restorer and autoencoder are float32 in any case (released).

    Raises:
        ValueError: a file is missing, cut, or holds other tensors than the config implies.
    """
    parts = build(NetworkConfig.load(directory), empty=True)
    for name, module in parts.modules().items():
        read_weights(directory / FROZEN_FILES[name], module, torch.float32 if name in SINGLE_PRECISION else dtype)
        module.to(device).eval().requires_grad_(requires_grad=False)
    return parts


def read_weights(path: Path, module: nn.Module, dtype: torch.dtype = torch.float32) -> None:
    """Fill a module from one safetensors file; floating tensors as `dtype`, those that are it already stay mapped.

    Raises:
        ValueError: the file is missing, cut, or holds other tensors than the module, or numbers that are not finite.
    """
    with _readable(path):
        state = load_file(path)
    own = module.state_dict()
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    advice = f"Use weights and {CONFIG_FILE} of one bundle."
    if missing or unknown:
        raise ValueError(f"{path} does not fit the config: lacks {missing[:3]}, has unknown {unknown[:3]}. {advice}")
    for key, tensor in state.items():
        if tensor.shape != own[key].shape:
            raise ValueError(f"{path}: {key} is {list(tensor.shape)}, expected {list(own[key].shape)}. {advice}")
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{path}: {key} holds numbers that are not finite. Restore it from the release or train it again.")
    typed = {key: tensor.to(dtype if tensor.is_floating_point() else own[key].dtype) for key, tensor in state.items()}
    module.load_state_dict(typed, assign=True)


def read_metadata(path: Path) -> dict[str, str]:
    """The text that a safetensors file carries beside its tensors.

    Raises:
        ValueError: the file is missing or cut.
    """
    with _readable(path), safe_open(path, "pt") as file:
        return dict(file.metadata() or {})


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say what is wrong with a file that does not open."""
    try:
        yield
    except FileNotFoundError as error:
        raise ValueError(
            f"Expected weights at {path}, found no file. Restore it from the release or train the bundle again."
        ) from error
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is no readable safetensors file ({error}). Restore it from the release.") from error


def write_weights(
    path: Path, module: nn.Module, dtype: torch.dtype | None = torch.float16, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a module's tensors to one safetensors file; floating ones as `dtype`, None keeps their own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in module.state_dict().items()}
    if dtype is not None:
        state = {key: tensor.to(dtype) if tensor.is_floating_point() else tensor for key, tensor in state.items()}
    temporary = path.with_suffix(".partial")
    save_file(state, temporary, metadata=dict(metadata or {}))
    temporary.replace(path)
