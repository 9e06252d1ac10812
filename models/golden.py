"""A directory of golden vectors: config, weights in the released layouts, inputs of each unit.

Everything is read from its `index.json`; nothing about sizes is assumed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn

from models import convert
from models.autoencoder import build_autoencoder
from models.bundle import FrozenParts, Prompt, build_backbone, build_encoder
from models.config import (
    AutoencoderConfig,
    BackboneConfig,
    ConditionerConfig,
    EncoderConfig,
    LatentConfig,
    NetworkConfig,
    PriorConfig,
    SwinIRConfig,
)
from models.lucidflux import Adapter
from models.prior import build_prior
from models.tensors import read

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Golden:
    """A directory of golden vectors and the network that its config and weights describe."""

    folder: Path
    sizes: Mapping[str, Any]
    names: Mapping[str, Sequence[str]]
    """Unit -> every tensor name that index.json lists."""

    def inputs(self, unit: str) -> Tensors:
        """Tensors of one unit's file, without what is expected."""
        return {name: value for name, value in self.all(unit).items() if not name.startswith("expected")}

    def all(self, unit: str) -> Tensors:
        """Tensors of one unit's file."""
        return load_file(self.folder / f"{unit}.safetensors")

    def listed(self, unit: str, start: str) -> list[str]:
        """Names of this unit that begin so, from the index and the file."""
        names = {*self.names.get(unit, ()), *self.all(unit)}
        return sorted(name for name in names if name.startswith(start))

    @functools.cached_property
    def config(self) -> NetworkConfig:
        """Every size, from the index."""
        return read_config(
            self.sizes, hint_channels=self.released("lucidflux")["condition_lq.input_hint_block.0.weight"].shape[0]
        )

    def released(self, name: str) -> Tensors:
        """One weight file.

        Raises:
            ValueError: it is not there or damaged.
        """
        return read(self.folder / f"weights_{name}.safetensors")

    def filled(self, part: str, name: str, module: nn.Module) -> Any:
        """A module with the released weights, strictly."""
        released = self.released(name)
        if part == "encoder":
            released = convert.vision_tower(released)
        if part in {"backbone", "adapter"} and not self.sizes.get("qkv_bias", True):
            released = _zero_biases(released) | released
        module.load_state_dict(convert.state(convert.to_ours(part, released, self.config)))
        return module.eval().requires_grad_(requires_grad=False)

    @functools.cached_property
    def adapter(self) -> Adapter:
        """The trained part."""
        adapter: Adapter = self.filled("adapter", "lucidflux", Adapter(self.config))
        return adapter

    @functools.cached_property
    def backbone(self) -> Any:
        """The transformer."""
        return self.filled("backbone", "flux", build_backbone(self.config.backbone, self.config.latent))

    @functools.cached_property
    def autoencoder(self) -> Any:
        """The image codec."""
        return self.filled("autoencoder", "ae", build_autoencoder(self.config.autoencoder, self.config.latent))

    @functools.cached_property
    def prior(self) -> Any:
        """The light restorer."""
        return self.filled("prior", "swinir", build_prior(self.config.prior))

    @functools.cached_property
    def encoder(self) -> Any:
        """The image encoder."""
        return self.filled("encoder", "siglip", build_encoder(self.config.encoder))

    def frozen(self, inputs: Tensors, **parts: Any) -> FrozenParts:
        """The frozen parts with the prompt of a unit; parts that are not given are not there."""
        prompt = Prompt(inputs["txt"].shape[1], self.config.backbone)
        prompt.load_state_dict({"tokens_SD": inputs["txt"][0], "pooled_D": inputs["vec"][0]})
        absent: dict[str, Any] = dict.fromkeys(("autoencoder", "prior", "encoder", "connector", "hint"))
        return FrozenParts(config=self.config, backbone=self.backbone, prompt=prompt, **{**absent, **parts})


def read_golden(folder: Path) -> Golden:
    """Open a directory of golden vectors.

    Raises:
        ValueError: there is no index.
    """
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        names = {Path(file).stem: list(tensors) for file, tensors in index.get("files", {}).items()}
        return Golden(folder, index["config"], names)
    except (OSError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"Expected {folder}/index.json with a `config`, got {type(error).__name__}: {error}.") from error


def read_config(sizes: Mapping[str, Any], hint_channels: int) -> NetworkConfig:
    """Translate the index's names of sizes."""
    codec, swinir, siglip = sizes["ae"], sizes["swinir"], sizes["siglip_config"]
    unshuffle = swinir["unshuffle_scale"] if swinir.get("unshuffle") else 1
    return NetworkConfig(
        latent=LatentConfig(
            channels=codec["z_channels"],
            downscale=2 ** (len(codec["ch_mult"]) - 1),
            scale=codec["scale_factor"],
            shift=codec["shift_factor"],
        ),
        backbone=BackboneConfig(
            hidden=sizes["hidden_size"],
            heads=sizes["num_heads"],
            axes=tuple(sizes["axes_dim"]),
            double_blocks=sizes["depth"],
            single_blocks=sizes["depth_single_blocks"],
            context_dim=sizes["context_in_dim"],
            pooled_dim=sizes["vec_in_dim"],
            guidance_embeds=sizes.get("guidance_embed", True),
            mlp_ratio=sizes.get("mlp_ratio", 4.0),
            rotary_base=sizes.get("theta", 10_000),
        ),
        conditioner=ConditionerConfig(double_blocks=sizes["controlnet_depth"], hint_channels=hint_channels),
        encoder=EncoderConfig(
            hidden=siglip["hidden_size"],
            intermediate=siglip["intermediate_size"],
            layers=siglip["num_hidden_layers"],
            heads=siglip["num_attention_heads"],
            image_px=siglip["image_size"],
            patch_px=siglip["patch_size"],
            activation=siglip.get("hidden_act", "gelu_pytorch_tanh"),
            norm_eps=siglip.get("layer_norm_eps", 1e-6),
        ),
        autoencoder=AutoencoderConfig(
            widths=tuple(codec["ch"] * factor for factor in codec["ch_mult"]), blocks=codec["num_res_blocks"]
        ),
        prior=PriorConfig(
            swinir=SwinIRConfig(
                embed=swinir["embed_dim"],
                depths=tuple(swinir["depths"]),
                heads=tuple(swinir["num_heads"]),
                window=swinir["window_size"],
                mlp_ratio=swinir["mlp_ratio"],
                unshuffle=unshuffle,
                upscale=swinir["sf"],
                image_px=swinir["img_size"],
                upsampler=swinir["upsampler"],
                residual=swinir["resi_connection"],
                range=swinir["img_range"],
            )
        ),
        prompt_tokens=sizes["txt_len"],
        starts=(),
    )


def _zero_biases(released: Tensors) -> Tensors:
    """A network without bias in its joined projections is one with a bias of zero."""
    joined = {name: value for name, value in released.items() if name.endswith("qkv.weight")}
    return {name.replace(".weight", ".bias"): value.new_zeros(len(value)) for name, value in joined.items()}
