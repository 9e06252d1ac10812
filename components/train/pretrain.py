"""Make the miniature's frozen parts from photos: `lucidflux pretrain`, or `python -m components.train.pretrain --help`.

Single process, one thread by default; a killed run goes on from its last checkpoint. The photos must not contain the
held-out pictures of the quickstart (those packaged with scikit-image and scikit-learn).
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from components.errors import lookup
from components.records import Record
from components.train.pretrain_photos import load_pool
from components.train.pretrain_stages import STAGES
from components.train.pretrain_workshop import Workshop
from models.config import TINY

log = logging.getLogger(__name__)


class Pretrained(Record):
    """What a pre-training made."""

    bundle: str
    """Directory of the weights."""
    pictures: int
    """Photos, each counted once per size in which it was kept."""
    steps: dict[str, int]
    """Stage -> steps."""

    def text(self) -> str:
        """For a person."""
        done = ", ".join(f"{name} {steps}" for name, steps in self.steps.items())
        return f"Trained on {self.pictures} pictures, steps: {done}.\nWeights and loss curves: {self.bundle}"


@dataclass(frozen=True)
class Plan:
    """What is to be trained, and from what."""

    photos: Sequence[Path]
    """Folders of clean photos."""
    out: Path
    """Bundle directory, which also holds what earlier stages made."""
    work: Path
    """Folder of the checkpoints."""
    exclude: Sequence[str] = ()
    """Beginnings of file names to leave out."""
    start: Path | None = None
    """Bundle whose light restorer, image encoder and backbone are trained further."""
    adapter: Path | None = None
    """Adapter trained on the bundle, whose latents the decoder then learns from."""
    stages: Sequence[str] = ()
    """Those to run; none runs all."""
    steps: int | None = None
    """Of each stage; None takes a stage's own number, which is for weights from nothing."""
    seed: int = 7
    """Decides every random number."""
    threads: int = 1
    """Of the processor."""


def pretrain(plan: Plan) -> Pretrained:
    """Run the stages of a plan in their order.

    Raises:
        UnknownName: there is no such stage.
        SourceError: there are no photos.
    """
    chosen = {name for name in plan.stages if lookup(STAGES, name, kind="stage")} or set(STAGES)
    torch.set_num_threads(plan.threads)
    pool = load_pool(plan.photos, exclude=plan.exclude, seed=plan.seed)
    log.info("%d pictures, %d dead leaves", len(pool.photos), len(pool.leaves))
    steps = {name: plan.steps or own for name, (_, own) in STAGES.items() if name in chosen}
    for name, budget in steps.items():
        torch.manual_seed(plan.seed)
        STAGES[name][0](Workshop(plan.out, plan.work, pool, plan.seed, budget, plan.start, plan.adapter), TINY)
    return Pretrained(bundle=str(plan.out), pictures=len(pool.photos), steps=steps)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="components.train.pretrain", description=__doc__)
    parser.add_argument("photos", type=Path, nargs="+", help="folders of clean photos")
    parser.add_argument("--out", type=Path, required=True, help="bundle directory")
    parser.add_argument("--work", type=Path, default=Path(".lucidflux/pretrain"), help="checkpoints of running stages")
    parser.add_argument("--exclude", action="append", default=[], help="beginning of file names to leave out; repeatable")
    parser.add_argument("--start", type=Path, help="bundle whose prior, encoder and backbone are trained further")
    parser.add_argument("--adapter", type=Path, help="adapter trained on the bundle, for the stage `decoder`")
    parser.add_argument("--stage", dest="stages", action="append", default=[], help="do this one; repeatable [default: all]")
    parser.add_argument("--steps", type=int, help="of each stage [default: its own number]")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run what the command line says."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    log.info("%s", pretrain(Plan(**vars(parse(arguments)))).text())


if __name__ == "__main__":
    main()
