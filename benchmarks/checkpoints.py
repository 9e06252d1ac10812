"""How long training stands still for a checkpoint, beside how long it takes to write one.

`python -m benchmarks.checkpoints FOLDER [--weights MILLIONS] [--store]`

The state is that of AdamW: weights and two moments in float32. Nothing trains meanwhile.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import torch

from components.records import Manifest
from components.train.checkpoint import State
from components.train.job import Job
from components.train.settings import TrainSettings
from components.train.writer import CheckpointWriter

TURNS = 3


def main() -> None:
    """Print medians of the event's two times, and of the copy where asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", type=int, default=50, help="millions")
    parser.add_argument("--store", action="store_true", help="copy to a local object store too")
    chosen = parser.parse_args()
    job = Job(
        objects=str(chosen.folder / "objects"),
        pairs=Manifest(kind="pairs", uri="", sha256="", rows=0),
        settings=TrainSettings(checkpoint_store=chosen.store),
        base="",
        base_hashes={},
        folder=str(chosen.folder),
    )
    million = {f"layer-{number}": torch.randn(1000, 1000) for number in range(chosen.weights)}
    times: dict[str, list[float]] = {}

    def listen(event: str, **values: Any) -> None:
        for name in {"seconds", "held_seconds"} & values.keys():
            times.setdefault(f"{event}: {name}", []).append(values[name])

    for turn in range(TURNS):
        # an engine gives its state as a copy of its own
        moments = {f"{key}/{name}": weight.clone() for key in ("exp_avg", "exp_avg_sq") for name, weight in million.items()}
        with CheckpointWriter(job, listen) as writer:
            writer.save(State(step=turn + 1, weights=million, average={}, optimizer=moments, losses=[]))
    for name, seconds in sorted(times.items()):
        print(f"{name:26s} {statistics.median(seconds):6.2f} s (median of {TURNS})")


if __name__ == "__main__":
    main()
