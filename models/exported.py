"""A diffusers folder of a network, written without loading it: configs from empty modules, weights streamed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from models import tensors
from models.bundle import build, build_encoder
from models.config import NetworkConfig
from models.diffusion import LucidFluxPipeline, Part
from models.files import FROZEN_FILES, STARTS
from models.lucidflux import Adapter
from models.sources import COMPONENTS, Network

WEIGHTS = {"image_encoder": "model.safetensors"}
"""Component -> weight file where it is not diffusers' name."""


def write_diffusers(network: Network, out: Path) -> None:
    """Write a folder for `LucidFluxPipeline.from_pretrained`.

    Raises:
        ValueError: a frozen part is missing, or the network has a size that diffusers' config cannot say.
    """
    backbone = network.config.backbone
    if backbone.mlp_ratio != 4 or backbone.rotary_base != 10_000:
        raise ValueError(
            f"diffusers' Flux has mlp_ratio 4 and rotary_base 10000; got {backbone.mlp_ratio} and {backbone.rotary_base}."
        )
    if missing := [part for part in FROZEN_FILES if part not in network.parts and part not in STARTS]:
        raise ValueError(f"A diffusers folder needs every frozen part; {', '.join(missing)} missing. Give their files too.")
    pipeline = _empty(network)
    pipeline.save_config(out)
    for component, part in COMPONENTS.items():
        module = getattr(pipeline, component)
        if module is None:
            continue
        if component == "image_encoder":
            write_encoder_config(network.config, out / component)
        else:
            module.save_config(out / component)
        prefix = "module." if isinstance(module, Part) else ""
        entries = [dataclasses.replace(item, name=prefix + item.name) for item in network.parts[part]]
        tensors.write(out / component / WEIGHTS.get(component, "diffusion_pytorch_model.safetensors"), entries, {"format": "pt"})
    pipeline.scheduler.save_pretrained(out / "scheduler")


def _empty(network: Network) -> LucidFluxPipeline:
    """The pipeline with modules that hold no numbers."""
    starts = tuple(name for name in STARTS if name in network.parts)
    config = network.config.model_copy(update={"starts": starts})
    with torch.device("meta"):
        adapter = Adapter(config) if "adapter" in network.parts else None
        pipeline: LucidFluxPipeline = LucidFluxPipeline.from_parts(build(config), adapter)
    return pipeline


def write_encoder_config(config: NetworkConfig, folder: Path) -> None:
    """Write the image encoder's config for transformers."""
    with torch.device("meta"):
        build_encoder(config.encoder).config.save_pretrained(folder)
