"""Weights of any form as one network: every part as entries of our own file.

A part's file is known by its keys: released layouts and ours. Public wrappers (`state_dict`, `module.`) are taken off;
what else is too much or too little is an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from models import convert, prompt, tensors
from models.bundle import read_metadata
from models.config import CONFIG_FILE, ConditionerConfig, EncoderConfig, NetworkConfig
from models.files import FROZEN_FILES
from models.lucidflux import CONDITIONER
from models.tensors import Entry, entry

ADAPTER_FILE = "adapter.safetensors"
SIGNS: Mapping[str, tuple[str, ...]] = {
    "backbone": ("double_blocks.0.img_attn.qkv.weight", "final_layer.linear.weight"),
    "adapter": ("condition_lq.img_in.weight", "condition_ldr.img_in.weight"),
    "autoencoder": ("encoder.down.0.block.0.conv1.weight", "decoder.conv_in.weight"),
    "prior": ("layers.0.residual_group.blocks.0.attn.qkv.weight", "conv_last.weight"),
    "encoder": ("embeddings.patch_embedding.weight", "post_layernorm.weight"),
    "connector": ("redux_up.weight", "redux_down.weight"),
}
"""Part -> keys by which its released file is known."""
OWN_SIGNS: Mapping[str, tuple[str, ...]] = {
    "adapter": ("condition_lrp.pos_embed_input.weight",),
    "backbone": ("x_embedder.weight", "proj_out.weight"),
    "autoencoder": ("encoder.down_blocks.0.resnets.0.conv1.weight",),
    "prompt": ("tokens_SD", "pooled_D"),
}
"""Part -> keys by which our own file is known, where its layout is not the released one's."""
COMPONENTS: Mapping[str, str] = {
    "transformer": "backbone",
    "vae": "autoencoder",
    "prior": "prior",
    "image_encoder": "encoder",
    "prompt": "prompt",
    "image_embedder": "connector",
    "hint": "hint",
    "adapter": "adapter",
}
"""Folder of a component in a diffusers folder -> part."""
WRAPPERS = ("state_dict.", "params_ema.", "params.", "module.")
"""Prefixes in which public checkpoints wrap their keys; also that of a component of ours in a diffusers folder."""
SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")


@dataclass
class Network:
    """Parts of a network, each as entries of our own file, and its sizes."""

    config: NetworkConfig
    parts: dict[str, list[Entry]] = field(default_factory=dict)

    def made(self, part: str) -> Mapping[str, Tensor]:
        """A part's tensors, each made when it is asked for."""
        return _Made(self.parts[part])

    def add(self, part: str, found: Mapping[str, Tensor], *, own: bool) -> None:
        """Take a part.

        Raises:
            ValueError: lists what is missing, unexpected or of another size.
        """
        if not own:
            self.parts[part] = convert.to_ours(part, found, self.config)
            return
        convert.check(found, convert.shapes_of(part, self.config))
        self.parts[part] = [entry(name, tensor) for name, tensor in found.items()]


class _Made(Mapping[str, Tensor]):
    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = {item.name: item for item in entries}

    def __getitem__(self, name: str) -> Tensor:
        return self.entries[name].make()

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def gather(sources: Sequence[Path], config: Path | None) -> Network:
    """Read sources of any form.

    Args:
        sources: files or folders.
        config: network config, for sources that do not bring one.

    Raises:
        ValueError: a source is missing or of no known kind, or does not fit the config.
    """
    network = Network(_config(sources, config))
    for source in sources:
        if not source.exists():
            raise ValueError(f"Expected weights at {source}, found nothing. Give files or folders that are there.")
        _take(network, source)
    if not network.parts:
        raise ValueError(f"Expected weight files in {', '.join(map(str, sources))}, found none.")
    return network


def _config(sources: Sequence[Path], given: Path | None) -> NetworkConfig:
    """The given config, else the first that a source brings, else the released sizes."""
    try:
        if given is not None:
            return NetworkConfig.model_validate_json((given / CONFIG_FILE if given.is_dir() else given).read_bytes())
        for source in sources:
            if (source / "model_index.json").is_file():
                return NetworkConfig.model_validate(json.loads((source / "prior" / CONFIG_FILE).read_bytes())["network"])
            if _is_bundle(source):
                return NetworkConfig.load(source)
    except (OSError, KeyError, json.JSONDecodeError, ValidationError) as error:
        raise ValueError(f"Expected a network config in {given or sources[0]}: {error}.") from error
    return NetworkConfig(starts=())


def _is_bundle(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (*FROZEN_FILES.values(), ADAPTER_FILE)) and (folder / CONFIG_FILE).is_file()


def _is_foreign(folder: Path) -> bool:
    """Whether a folder inside a folder of weights belongs to another model, as the text encoders do."""
    config = folder / CONFIG_FILE
    return config.is_file() and _model_type(config) not in {"", "siglip", "siglip_vision_model"} and not _is_bundle(folder)


def _model_type(config: Path) -> str:
    try:
        return str(json.loads(config.read_bytes()).get("model_type", ""))
    except json.JSONDecodeError as error:
        raise ValueError(f"{config} is no JSON ({error}). Fetch it again.") from error


def _take(network: Network, source: Path) -> None:
    """Add what a file or folder holds."""
    if source.is_file():
        _take_file(network, source)
    elif (source / "model_index.json").is_file():
        for component, part in COMPONENTS.items():
            _take_files(network, part, sorted((source / component).glob("*.safetensors")))
    elif _is_bundle(source):
        for part, name in {**FROZEN_FILES, "adapter": ADAPTER_FILE}.items():
            _take_files(network, part, [source / name] if (source / name).is_file() else [])
    elif (source / CONFIG_FILE).is_file():
        _take_encoder(network, source)
    else:
        for path in sorted(source.iterdir()):
            if path.suffix in SUFFIXES or (path.is_dir() and not path.name.startswith(".") and not _is_foreign(path)):
                _take(network, path)


def _take_files(network: Network, part: str, paths: Sequence[Path]) -> None:
    """Add one of our own parts, in one file or in shards."""
    found: dict[str, Tensor] = {}
    for path in paths:
        found |= _unwrapped(tensors.read(path))
    if not found:
        return
    if part == "adapter":
        _take_conditioner(network, paths[0])
    _add(network, part, convert.vision_tower(found) if part == "encoder" else found, paths[0], own=True)


def _take_conditioner(network: Network, path: Path) -> None:
    """Believe an adapter file about what kind of conditioner it is."""
    stated = read_metadata(path).get(CONDITIONER)
    if stated is not None:
        network.config = network.config.model_copy(update={"conditioner": ConditionerConfig.model_validate_json(stated)})


def _take_encoder(network: Network, folder: Path) -> None:
    """Add a transformers folder of a SigLIP model, with the sizes that it states."""
    kind = _model_type(folder / CONFIG_FILE)
    if not kind.startswith("siglip"):
        raise ValueError(f"{folder} is a folder of a '{kind or '?'}' model; expected a SigLIP one.")
    stated = json.loads((folder / CONFIG_FILE).read_bytes())
    vision: dict[str, Any] = stated.get("vision_config", stated)
    names = {
        "hidden": "hidden_size",
        "intermediate": "intermediate_size",
        "layers": "num_hidden_layers",
        "heads": "num_attention_heads",
        "image_px": "image_size",
        "patch_px": "patch_size",
        "activation": "hidden_act",
        "norm_eps": "layer_norm_eps",
    }
    sizes = {ours: vision[theirs] for ours, theirs in names.items() if theirs in vision}
    encoder = EncoderConfig.model_validate(network.config.encoder.model_dump() | sizes)
    network.config = network.config.model_copy(update={"encoder": encoder})
    found: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found |= tensors.read(path)
    _add(network, "encoder", convert.vision_tower(found), folder, own=False)


def _take_file(network: Network, path: Path) -> None:
    """Add one file by its keys."""
    if path.suffix == ".pt":
        embedding = prompt.read(path)
        found: dict[str, Tensor] = {"tokens_SD": embedding.tokens_SD, "pooled_D": embedding.pooled_D}
        network.config = network.config.model_copy(update={"prompt_tokens": len(embedding.tokens_SD)})
        _add(network, "prompt", found, path, own=True)
        return
    found = _unwrapped(tensors.read(path))
    for table, own in ((SIGNS, False), (OWN_SIGNS, True)):
        for part, signs in table.items():
            names = convert.vision_tower(found) if part == "encoder" else found
            if all(sign in names for sign in signs):
                if part == "adapter" and own:
                    _take_conditioner(network, path)
                _add(network, part, names, path, own=own)
                return
    raise ValueError(
        f"{path} is no weight file of this network: its keys ({', '.join(sorted(found)[:3]) or 'none'}, ...) belong to none of "
        f"{', '.join(SIGNS)}. Give the released files, our own, or a folder of them."
    )


def _add(network: Network, part: str, found: Mapping[str, Tensor], path: Path, *, own: bool) -> None:
    try:
        network.add(part, found, own=own)
    except ValueError as error:
        raise ValueError(f"{path} does not fit as {part}: {error}") from error


def _unwrapped(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off wrappers that every key has."""
    state = dict(found)
    for wrapper in WRAPPERS:
        if state and all(name.startswith(wrapper) for name in state):
            state = {name.removeprefix(wrapper): tensor for name, tensor in state.items()}
    return state
