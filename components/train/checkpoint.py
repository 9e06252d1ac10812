"""Checkpoints: whole or absent, verified by hash before they are read, independent of the number of processes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from components.backends.storage import file_sha256
from components.errors import TrainError
from components.records import Record
from components.train.job import write_text

STATE_FILE = "state.safetensors"
LABEL_FILE = "checkpoint.json"
KEPT = 2
"""Checkpoints that stay; the older one is for the day on which the newer is damaged."""
Refused = Callable[[str, str], None]
"""Called with (checkpoint, why it cannot be used)."""


class Label(Record):
    """What a checkpoint says about itself."""

    step: int
    """Updates done."""
    sha256: str
    """Of the state file."""
    identity: str
    """Of the run that it belongs to."""


@dataclass(frozen=True)
class State:
    """Everything that a run needs to go on; tensors by parameter name."""

    step: int
    weights: dict[str, Tensor]
    average: dict[str, Tensor]
    """Empty without averaging."""
    optimizer: dict[str, Tensor]
    losses: list[float]
    """Of every update so far."""


def write(folder: Path, state: State, identity: str) -> Path:
    """Write one checkpoint and drop the ones that are too old.

    Raises:
        TrainError: the disk does not take it; the earlier ones are untouched.
    """
    target = folder / f"step-{state.step:08d}"
    partial = folder / f".{target.name}.{os.getpid()}.partial"
    try:
        for leftover in folder.glob(".step-*.partial"):
            shutil.rmtree(leftover)
        partial.mkdir(parents=True)
        save_file(_flatten(state), partial / STATE_FILE)
        label = Label(step=state.step, sha256=file_sha256(partial / STATE_FILE), identity=identity)
        with (partial / STATE_FILE).open("rb") as file:
            os.fsync(file.fileno())
        write_text(partial / LABEL_FILE, label.model_dump_json())
        if target.exists():
            shutil.rmtree(target)
        partial.replace(target)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise TrainError(f"Cannot write a checkpoint below {folder}: {error}. Free space; the same command goes on.") from error
    for old in sorted(folder.glob("step-*"))[:-KEPT]:
        shutil.rmtree(old)
    return target


def newest(folder: Path, identity: str, refused: Refused) -> State | None:
    """Read the newest checkpoint that is whole and belongs to this run.

    Args:
        folder: where the checkpoints lie.
        identity: of the run.
        refused: told about each one that is passed over.
    """
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            return _read(path, identity)
        except (OSError, ValueError) as error:
            refused(path.name, str(error))
    return None


def _read(path: Path, identity: str) -> State:
    label = Label.model_validate(json.loads((path / LABEL_FILE).read_text(encoding="utf-8")))
    if label.identity != identity:
        raise ValueError(f"it belongs to run {label.identity[:12]}")
    found = file_sha256(path / STATE_FILE)
    if found != label.sha256:
        raise ValueError(f"expected the hash {label.sha256[:12]}, the file has {found[:12]}")
    tensors = load_file(path / STATE_FILE)
    groups: dict[str, dict[str, Tensor]] = {"weights": {}, "average": {}, "optimizer": {}}
    for key, tensor in tensors.items():
        group, _, name = key.partition("/")
        if group in groups:
            groups[group][name] = tensor
    return State(step=label.step, losses=tensors["losses"].tolist(), **groups)


def _flatten(state: State) -> dict[str, Tensor]:
    flat = {"losses": torch.tensor(state.losses, dtype=torch.float64)}
    for group, tensors in (("weights", state.weights), ("average", state.average), ("optimizer", state.optimizer)):
        flat |= {f"{group}/{name}": tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return flat
