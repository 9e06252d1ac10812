"""Batch restoration as a program without flows: the miniature without an adapter, one step a picture; for tests that kill it.

python -m tests.e2e.restoring --home HOME --out OUTPUT [--workers N] [--shard N] [--lease S] ADDRESS...
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from components.imaging.sampler import SamplerSettings
from components.restore.model import Model
from components.restore.run import Batch, restore
from components.restore.settings import RestoreSettings
from flows.settings import load

SAMPLER = SamplerSettings(steps=1, start=0.2, shift="none", tile_px=64, overlap_px=0)


def main() -> None:
    """Restore and print the record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--objects", default="")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--shard", type=int, default=4)
    parser.add_argument("--lease", type=float, default=60)
    parser.add_argument("addresses", nargs="+")
    given = parser.parse_args()
    batch = Batch(
        model=Model("m/1", load("tiny").base_folder, None, SAMPLER),
        settings=RestoreSettings(workers=given.workers, shard_pictures=given.shard, lease_s=given.lease),
        output=given.out,
        state=f"sqlite:///{given.home / 'state.db'}",
        objects=given.objects or str(given.home / "objects"),
        cache=given.home / "cache",
    )
    given.home.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(restore(given.addresses, batch).model_dump_json() + "\n")


if __name__ == "__main__":
    main()
