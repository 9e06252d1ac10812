"""Make the miniature's frozen parts from photos: `python -m components.train.pretrain --help`.

Single process, one thread by default; a killed run goes on from its last checkpoint. The photos must not contain the
held-out pictures of the quickstart (those packaged with scikit-image and scikit-learn).
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch

from components.train.pretrain_photos import load_pool
from components.train.pretrain_stages import STAGES, Workshop
from models.config import TINY


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="components.train.pretrain", description=__doc__)
    parser.add_argument("--photos", type=Path, action="append", required=True, help="folder of clean photos; repeatable")
    parser.add_argument("--exclude", action="append", default=[], help="beginning of file names to leave out; repeatable")
    parser.add_argument("--out", type=Path, default=Path("models/tiny"), help="bundle directory")
    parser.add_argument("--work", type=Path, default=Path(".lucidflux/pretrain"), help="checkpoints of running stages")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the steps of every stage")
    parser.add_argument("--start", type=Path, help="bundle whose prior, encoder and backbone are trained further")
    parser.add_argument("--stage", choices=STAGES, action="append", help="do this one; repeatable [default: all]")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run one stage or all of them in order."""
    options = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(options.threads)
    pool = load_pool(options.photos, exclude=options.exclude, seed=options.seed)
    logging.getLogger(__name__).info("%d pictures, %d dead leaves", len(pool.photos), len(pool.leaves))
    for name, (stage, steps) in STAGES.items():
        if name in (options.stage or STAGES):
            torch.manual_seed(options.seed)
            steps = max(1, round(steps * options.scale))
            stage(Workshop(options.out, options.work, pool, options.seed, steps, options.start), TINY)


if __name__ == "__main__":
    main()
