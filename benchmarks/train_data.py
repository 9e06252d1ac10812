"""Share of the step time spent waiting for pixels, by the number of data workers, on real photos and recipes.

    python -m benchmarks.train_step [BUNDLE] --data PHOTOS [--device-ms MS] [--workers 0 1 2] [--preset tiny] [--crop PX] ...

The updates are those of the plain engine with live features. On processors they compete with the workers for the same cores; with
`--device-ms` the update is a pause of that length instead, which stands for a device that leaves the processor alone.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from components.backends import manifest
from components.backends.shards import write_shard
from components.backends.storage import LocalStorage
from components.imaging import codec
from components.imaging.degrade import recipe
from components.records import Manifest, content_hash
from components.train.ahead import Ahead, Opening
from components.train.batches import Batches, Objective
from components.train.data import LiveFeatures
from components.train.engine import PlainEngine
from components.train.order import Order, Spread
from components.train.pixels import Made, PixelSource
from components.train.rows import folder_of, open_rows, unpack
from components.train.settings import TrainSettings
from models.bundle import FrozenParts, load_frozen
from models.lucidflux import Adapter

WARM_UPDATES = 2
EPOCHS = 8
"""Pairs of each photo."""


def made_pairs(store: LocalStorage, photos: Path, preset: str, crop_px: int) -> Manifest:
    """Rows over the photos of a folder that are large enough."""
    settings = recipe.preset(preset).model_copy(update={"crop_px": crop_px})
    read = {path.name: path.read_bytes() for path in sorted(photos.iterdir()) if path.suffix.lower() in (".jpg", ".jpeg", ".png")}
    large = {name: data for name, data in read.items() if min(codec.decode(data).image_u8.shape[:2]) >= crop_px}
    rows: list[dict[str, Any]] = []
    for (name, _), placed in zip(large.items(), write_shard(store, large.items()), strict=True):
        for epoch in range(EPOCHS):
            drawn = recipe.draw(0, name, epoch, settings).pack()
            rows.append({"id": content_hash(name, epoch), "hq_id": name, "epoch": epoch, "recipe": drawn, **placed._asdict()})
    return manifest.write(store, "pairs", rows)


@dataclass
class Timed:
    """Measures how long pixels are waited for."""

    source: PixelSource
    waited: float = 0.0

    def make(self, numbers: Sequence[int]) -> Made:
        """See PixelSource."""
        begun = time.perf_counter()
        made = self.source.make(numbers)
        self.waited += time.perf_counter() - begun
        return made


def run(frozen: FrozenParts, opening: Opening, chosen: argparse.Namespace, workers: int) -> None:
    """Train for some updates and print one line."""
    settings = TrainSettings(
        micro_batch_size=chosen.batch, accumulation=1, processes=1, optimizer="adamw", precision=chosen.precision, engine="plain"
    )
    rows = open_rows(opening.rows)
    order, spread = Order(0, tuple(rows.by_side.values()), settings.batch_size), Spread(chosen.batch, 1, 1, 0)
    updates = [spread.micro_batches(step)[0] for step in range(WARM_UPDATES + chosen.updates)]
    ahead = Ahead(opening, workers=workers, prefetch=chosen.prefetch) if workers else None
    timed = Timed(ahead or opening.open())
    if ahead:
        ahead.follow(order.rows(samples) for samples in updates)
    batches = Batches(rows.ids, LiveFeatures(opening.open(), frozen, source=timed), settings, torch.device("cpu"), order)
    engine = PlainEngine(Objective(Adapter.from_backbone(frozen.config, frozen), frozen, settings), settings)
    wall, waits = [], []
    started = time.process_time()
    for number, samples in enumerate(updates):
        if number == WARM_UPDATES:
            started = time.process_time()
        begun, before = time.perf_counter(), timed.waited
        if chosen.device_ms:
            timed.make(batches.pairs(samples))
            time.sleep(chosen.device_ms / 1000)
        else:
            engine.update([batches.make(samples)], 1e-5)
        wall.append(time.perf_counter() - begun)
        waits.append(timed.waited - before)
    wall, waits = wall[WARM_UPDATES:], waits[WARM_UPDATES:]
    cpu = (time.process_time() - started) / chosen.updates
    own, theirs = peak_mb(ahead)
    share, rate = sum(waits) / sum(wall), chosen.batch * len(wall) / sum(wall)
    print(
        f"{workers} workers: {statistics.median(wall) * 1e3:7.1f} ms per update (median), waiting for data {share:6.1%}, "
        f"{rate:6.2f} samples/s, {cpu * 1e3:.0f} ms of processor per update here, peak {own:.0f} MB, {theirs:.0f} MB per worker",
        flush=True,
    )
    if ahead:
        ahead.close()


def peak_mb(ahead: Ahead | None) -> tuple[float, float]:
    """Most resident memory of this process so far, and the mean of its workers' now, MB."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    children = [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())] if ahead else []
    return own, float(np.mean([child.memory_info().rss / 1e6 for child in children] or [0]))


def main() -> None:
    """Print one line per number of workers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train_step")
    parser.add_argument("bundle", nargs="?", type=Path, default=Path("models/tiny"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--device-ms", type=float, default=0)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--prefetch", type=int, default=4)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--updates", type=int, default=10)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    frozen = load_frozen(chosen.bundle)
    with tempfile.TemporaryDirectory() as work:
        store = LocalStorage(Path(work) / "objects")
        pairs = made_pairs(store, chosen.data, chosen.preset, chosen.crop)
        folder = folder_of(Path(work), pairs)
        unpack(store, pairs, folder)
        print(f"{pairs.rows} pairs, crops of {chosen.crop} px, preset {chosen.preset}, batch {chosen.batch}", flush=True)
        for workers in chosen.workers:
            run(frozen, Opening(store.root, Path(work) / "cache", folder), chosen, workers)
