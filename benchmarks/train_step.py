"""Seconds per update of ZeRO-2 with one process and of the plain engine, in the same run, and their ratio.

`python -m benchmarks.train_step [BUNDLE] [--threads N] [--updates N] [--batch N] [--crop PX] [--precision fp32|bf16]`

The batch is random numbers, so the time is that of the update alone. Both engines are measured in turns, so that
what else the machine does hits both. `--data PHOTOS` measures the wait for real pairs instead (`train_data.py`).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from components.train.batches import Batch
from components.train.engine import Engine, PlainEngine
from components.train.objective import Objective
from components.train.settings import TrainSettings
from components.train.zero import ZeroEngine, start_processes
from models.bundle import FrozenParts, load_frozen
from models.lucidflux import Adapter, Condition

WARM_UPDATES = 2
TURNS = 4
ALONE = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29555"}
"""What torchrun would set for one process."""


def random_batch(frozen: FrozenParts, size: int, crop_px: int) -> Batch:
    """A batch of the shape that training sees."""
    config = frozen.config
    torch.manual_seed(1)
    tokens = (crop_px // config.latent.token_px) ** 2
    hint_lq, hint_lrp = (torch.rand(size, 3, crop_px, crop_px) * 2 - 1 for _ in range(2))
    features = frozen.features(hint_lrp / 2 + 0.5)
    return Batch(
        pairs=("random",) * size,
        x0_BTD=torch.randn(size, tokens, config.latent.token_values),
        noise_BTD=torch.randn(size, tokens, config.latent.token_values),
        t_B=torch.rand(size),
        condition=Condition(
            hint_lq.contiguous(memory_format=torch.channels_last),
            hint_lrp.contiguous(memory_format=torch.channels_last),
            features,
            crop_px,
            crop_px,
        ),
    )


def measure(engine: Engine[Batch], batch: Batch, updates: int) -> tuple[list[float], float]:
    """Wall seconds of each update, and processor seconds per update."""
    wall = []
    cpu = time.process_time()
    for _ in range(updates):
        started = time.perf_counter()
        engine.update([batch], 1e-5)
        wall.append(time.perf_counter() - started)
    return wall, (time.process_time() - cpu) / updates


def main() -> None:
    """Print one line per engine and the ratio."""
    if "--data" in sys.argv:
        # data workers import the main module again: `-c` has none, as little as the workers of a training import
        sys.exit(subprocess.call([sys.executable, "-c", "from benchmarks.train_data import main; main()", *sys.argv[1:]]))
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", nargs="?", type=Path, default=Path("models/tiny"))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--updates", type=int, default=10)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    for name, value in (
        ("RANK", "0"),
        ("WORLD_SIZE", "1"),
        ("LOCAL_RANK", "0"),
        ("MASTER_ADDR", "127.0.0.1"),
        ("MASTER_PORT", "29555"),
    ):
        os.environ.setdefault(name, value)
    start_processes()
    frozen = load_frozen(chosen.bundle)
    settings = TrainSettings(
        micro_batch_size=chosen.batch, accumulation=1, processes=1, optimizer="adamw", precision=chosen.precision
    )
    batch = random_batch(frozen, chosen.batch, chosen.crop)
    engines: dict[str, Engine[Batch]] = {
        name: kind(Objective(Adapter.from_backbone(frozen.config, frozen), frozen, settings), settings)
        for name, kind in (("plain", PlainEngine), ("zero2", ZeroEngine))
    }
    wall: dict[str, list[float]] = {name: [] for name in engines}
    cpu: dict[str, list[float]] = {name: [] for name in engines}
    for engine in engines.values():
        measure(engine, batch, WARM_UPDATES)
    for _ in range(TURNS):
        for name, engine in engines.items():
            seconds, processor = measure(engine, batch, max(1, chosen.updates // TURNS))
            wall[name] += seconds
            cpu[name].append(processor)
    for name in engines:
        typical = statistics.median(wall[name])
        rate, processor = chosen.batch / typical, statistics.mean(cpu[name]) * 1e3
        print(f"{name:6s} {typical * 1e3:7.1f} ms per update (median), {rate:6.2f} samples/s, {processor:7.1f} ms of processor")
    by_wall = statistics.median(wall["plain"]) / statistics.median(wall["zero2"])
    by_processor = statistics.mean(cpu["plain"]) / statistics.mean(cpu["zero2"])
    print(f"zero2 runs at {by_wall:.3f} of the plain engine's rate; {by_processor:.3f} by processor time")


if __name__ == "__main__":
    main()
