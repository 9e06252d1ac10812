"""Whole networks from one form to another: released files, our bundle, a diffusers folder.

Sources may be files or folders of any of the three forms; a file is known by its keys. Everything is mapped and
streamed: anonymous memory stays below the largest tensor plus a constant, whatever the size of the files.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from models import prompt, tensors
from models.convert import to_released
from models.exported import write_diffusers, write_encoder_config
from models.files import FROZEN_FILES, STARTS
from models.lucidflux import CONDITIONER
from models.sources import ADAPTER_FILE, Network, gather

RELEASED_FILES: Mapping[str, str] = {
    "backbone": "flux1-dev.safetensors",
    "autoencoder": "ae.safetensors",
    "adapter": "lucidflux.pth",
    "prior": "general_swinir_v1.ckpt",
    "encoder": "siglip2/model.safetensors",
    "connector": "redux.safetensors",
    "prompt": "prompt_embeddings.pt",
}
"""Part -> its file in a folder of released weights; the start of the hint convolutions has none."""


def convert(sources: Sequence[Path], out: Path, *, to: str, config: Path | None = None, force: bool = False) -> list[Path]:
    """Convert.

    Args:
        sources: files or folders; later ones replace parts of earlier ones.
        out: folder to make; it appears whole or not at all.
        to: `lucidflux` (our bundle with adapter), `released` or `diffusers`.
        config: network config for sources that do not bring one; None takes the released sizes.
        force: replace what is at `out`.

    Returns:
        The files that were written.

    Raises:
        ValueError: names the file and what is wrong: kind, keys, sizes, numbers that are not finite, code.
    """
    if to not in WRITERS:
        raise ValueError(f"Expected one of {', '.join(WRITERS)} as target, got {to!r}.")
    if out.exists() and not force and (out.is_file() or any(out.iterdir())):
        raise ValueError(f"{out} is there already; choose another folder, or replace it with --force.")
    network = gather(sources, config)
    partial = out.absolute().with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        WRITERS[to](network, partial)
        if out.is_dir():
            shutil.rmtree(out)
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return sorted(path for path in out.rglob("*") if path.is_file())


def _write_bundle(network: Network, out: Path) -> None:
    starts = tuple(name for name in STARTS if name in network.parts)
    network.config.model_copy(update={"starts": starts}).save(out)
    for part, entries in network.parts.items():
        kind = {CONDITIONER: network.config.conditioner.model_dump_json()} if part == "adapter" else None
        tensors.write(out / FROZEN_FILES.get(part, ADAPTER_FILE), entries, kind)


def _write_released(network: Network, out: Path) -> None:
    for part, name in RELEASED_FILES.items():
        if part not in network.parts:
            continue
        path, made = out / name, network.made(part)
        if part == "prompt":
            prompt.write(path, prompt.PromptEmbedding(made["tokens_SD"], made["pooled_D"]))
            continue
        entries = to_released(part, made, network.config)
        if part == "adapter":
            tensors.write_nested(path, entries, _by_outer_key)
        elif part == "prior":
            tensors.write_nested(path, entries, lambda state: {"state_dict": state})
        else:
            tensors.write(path, entries, {"format": "pt"})
        if part == "encoder":
            write_encoder_config(network.config, path.parent)


def _by_outer_key(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The released nesting: what stands before the first dot is the outer key."""
    nested: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        outer, _, inner = name.partition(".")
        nested.setdefault(outer, {})[inner] = tensor
    return nested


WRITERS: Mapping[str, Callable[[Network, Path], None]] = {
    "lucidflux": _write_bundle,
    "released": _write_released,
    "diffusers": write_diffusers,
}
"""Form -> what writes it."""
