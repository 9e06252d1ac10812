"""Checkpoints: whole or absent, verified by hash before they are read, independent of the number of processes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from components.backends.storage import file_sha256
from components.errors import TrainError
from components.records import Record
from components.train.job import write_text

STATE_FILE = "state.safetensors"
LABEL_FILE = "checkpoint.json"
"""Written last: where it is, the state is whole."""
GROUPS = ("weights", "average", "optimizer")


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


@dataclass(frozen=True)
class Retention:
    """Which checkpoints stay."""

    newest: int
    """How many of the newest."""
    every: int
    """Multiples of this step stay for good; 0 for none."""

    def outdated(self, steps: Iterable[int]) -> list[int]:
        """Those of some steps that may go."""
        return [step for step in sorted(steps)[: -self.newest] if not self.every or step % self.every]


def snapshot(state: State) -> State:
    """Copy what training goes on changing to processor memory; the optimiser's state is a copy already."""
    weights, average = (
        {name: tensor.detach().to("cpu", copy=True) for name, tensor in group.items()} for group in (state.weights, state.average)
    )
    return replace(state, weights=weights, average=average, losses=list(state.losses))


def name_of(step: int) -> str:
    """Name of the folder of a checkpoint; in the order of the steps."""
    return f"step-{step:08d}"


def steps_in(folder: Path) -> dict[int, Path]:
    """Step -> folder of every checkpoint that was written to its end."""
    return {int(path.name.removeprefix("step-")): path for path in folder.glob("step-[0-9]*")}


def partial_of(folder: Path, step: int) -> Path:
    """An empty place to write a checkpoint to; what killed processes left of theirs goes."""
    for leftover in folder.glob(".step-*.partial"):
        shutil.rmtree(leftover)
    partial = folder / f".{name_of(step)}.{os.getpid()}.partial"
    partial.mkdir(parents=True)
    return partial


def write(folder: Path, state: State, identity: str) -> Path:
    """Write one checkpoint.

    Raises:
        TrainError: the disk does not take it; the earlier ones are untouched.
    """
    partial: Path | None = None
    try:
        partial = partial_of(folder, state.step)
        save_file(_flatten(state), partial / STATE_FILE)
        with (partial / STATE_FILE).open("rb") as file:
            os.fsync(file.fileno())
        label = Label(step=state.step, sha256=file_sha256(partial / STATE_FILE), identity=identity)
        write_text(partial / LABEL_FILE, label.model_dump_json())
        return settle(partial, folder, state.step)
    except (OSError, SafetensorError) as error:
        raise TrainError(f"Cannot write a checkpoint below {folder}: {error}. Free space; the same command goes on.") from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)


def settle(partial: Path, folder: Path, step: int) -> Path:
    """Give a whole checkpoint its name, in place of a damaged one of that name."""
    target = folder / name_of(step)
    if target.exists():
        shutil.rmtree(target)
    partial.replace(target)
    return target


def prune(folder: Path, retention: Retention, at: int) -> None:
    """Delete the checkpoints that may go once that of step `at` is there; later ones were passed over by this run."""
    found = steps_in(folder)
    kept = [step for step in found if step <= at]
    for step in found.keys() - kept | set(retention.outdated(kept)):
        # under this name a half deleted one is never read
        going = found[step].with_name(f".{found[step].name}.{os.getpid()}.partial")
        found[step].replace(going)
        shutil.rmtree(going)


def read(path: Path, identity: str) -> State:
    """Read a checkpoint of a run.

    Raises:
        ValueError: it is damaged, or belongs to another run.
        OSError: it cannot be read.
    """
    label = Label.model_validate(json.loads((path / LABEL_FILE).read_text(encoding="utf-8")))
    if label.identity != identity:
        raise ValueError(f"it belongs to run {label.identity[:12]}")
    require_hash(label, file_sha256(path / STATE_FILE))
    tensors = load_file(path / STATE_FILE)
    groups: dict[str, dict[str, Tensor]] = {group: {} for group in GROUPS}
    for key, tensor in tensors.items():
        group, _, name = key.partition("/")
        if group in groups:
            groups[group][name] = tensor
    return State(step=label.step, losses=tensors["losses"].tolist(), **groups)


def require_hash(label: Label, found: str) -> None:
    """Refuse a state that is not the one that its label names.

    Raises:
        ValueError: it is another.
    """
    if found != label.sha256:
        raise ValueError(f"expected the hash {label.sha256[:12]}, the file has {found[:12]}")


def _flatten(state: State) -> dict[str, Tensor]:
    flat = {"losses": torch.tensor(state.losses, dtype=torch.float64)}
    for group in GROUPS:
        flat |= {f"{group}/{name}": tensor.detach().cpu().contiguous() for name, tensor in getattr(state, group).items()}
    return flat
