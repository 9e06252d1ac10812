"""What a training process needs to open a large manifest of pairs: seconds, memory, and the time to look a row up.

`python -m benchmarks.train_rows FOLDER [--rows 1360000]` makes the rows once, with recipes of the preset `dreamclear`.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import random
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch  # noqa: F401 - part of what a training process holds anyway

from components.backends import manifest, tables  # noqa: F401 - likewise
from components.backends.storage import LocalStorage
from components.imaging.degrade import recipe
from components.records import Manifest
from components.train.order import Order
from components.train.rows import folder_of, open_rows, unpack

BATCH = 10_000
RECIPES = 5_000
LOOKED_UP = 20_000


def rows(count: int) -> Iterator[pa.RecordBatch]:
    """Rows in the order of a manifest."""
    schema, settings = manifest.SCHEMAS["pairs"], recipe.preset("dreamclear")
    recipes = [recipe.draw(0, f"picture-{number}", 0, settings).pack() for number in range(RECIPES)]
    for start in range(0, count, BATCH):
        numbers = range(start, min(count, start + BATCH))
        columns: dict[str, list[Any]] = {
            "id": [digest(f"pair {number}") for number in numbers],
            "hq_id": [digest(f"picture {number // 4}") for number in numbers],
            "epoch": [number % 4 for number in numbers],
            "recipe": list(itertools.islice(itertools.cycle(recipes), start % RECIPES, start % RECIPES + len(numbers))),
            "shard": [f"shards/{digest(f'shard {number // 4000}')}.tar" for number in numbers],
            "offset": [number * 1000 for number in numbers],
            "length": [900_000] * len(numbers),
        }
        empty: list[Any] = [None] * len(numbers)
        yield pa.RecordBatch.from_arrays(
            [pa.array(columns.get(field.name, empty), field.type) for field in schema], schema=schema
        )


def digest(text: str) -> str:
    """64 characters, as ids have them."""
    return hashlib.sha256(text.encode()).hexdigest()


def peak_mb() -> float:
    """Most resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    """Print seconds and megabytes of the first process of a machine, then of another one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_360_000)
    chosen = parser.parse_args()
    store, handle = LocalStorage(chosen.folder / "objects"), chosen.folder / f"pairs-{chosen.rows}.json"
    if not handle.is_file():
        pairs = manifest.write_batches(store, "pairs", rows(chosen.rows))
        handle.write_text(pairs.model_dump_json())
        print("rows are made; run again to measure")
        return
    pairs, imports = Manifest.model_validate_json(handle.read_text()), peak_mb()
    folder = folder_of(chosen.folder, pairs)
    first, begun = not folder.is_dir(), time.perf_counter()
    unpack(store, pairs, folder)
    opened = open_rows(folder)
    Order(0, tuple(opened.by_side.values()), 32).update(0)
    seconds, added = time.perf_counter() - begun, peak_mb() - imports
    print(f"{'first' if first else 'another'} process: {seconds:.2f} s, {added:.0f} MB beyond {imports:.0f} MB of imports")
    begun = time.perf_counter()
    for _ in range(LOOKED_UP):
        opened.rows[random.randrange(len(opened.rows))]
    print(f"a row in {(time.perf_counter() - begun) / LOOKED_UP * 1e6:.0f} us")


if __name__ == "__main__":
    main()
