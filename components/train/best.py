"""The weights of the best validations: files beside the checkpoints, as many as a resumed run can still ask for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from components.errors import TrainError
from models.lucidflux import Adapter


def path_of(folder: Path, step: int) -> Path:
    """Where the weights of one update lie."""
    return folder / f"best-{step:08d}.safetensors"


def save(folder: Path, adapter: Adapter, step: int) -> None:
    """Write the weights that a validation judged, as an adapter file."""
    path = path_of(folder, step)
    adapter.save(path)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def drop_old(folder: Path) -> None:
    """Delete what no run that goes on from one of the checkpoints could give out.

    Such a run remembers the validations up to its checkpoint, so it needs the newest file that is no newer than the
    oldest checkpoint, and all later ones.
    """
    checkpoints = [int(path.name.rpartition("-")[2]) for path in (folder / "checkpoints").glob("step-*")]
    oldest = min(checkpoints, default=0)
    settled = sorted(path for path in folder.glob("best-*.safetensors") if int(path.stem.rpartition("-")[2]) <= oldest)
    for path in settled[:-1]:
        path.unlink()


def take(folder: Path, step: int, weights: Mapping[str, Tensor]) -> None:
    """Put the weights of one update in the place of the last ones.

    Args:
        folder: of the run.
        step: the update.
        weights: parameter name -> tensor that is filled.

    Raises:
        TrainError: they are gone.
    """
    path = path_of(folder, step)
    if not path.is_file():
        raise TrainError(
            f"Expected the weights of the best validation in {path}, they are gone. Delete {folder} and train again, or set "
            "train.keep_best = false."
        )
    kept = load_file(path)
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(kept[name])


def drop_all(folder: Path) -> None:
    """Delete them when the run is over."""
    for path in folder.glob("best-*.safetensors"):
        path.unlink()
