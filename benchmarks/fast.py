"""What the lossy savings cost: difference from the exact mode and processor time, on held-out packaged photos.

`python -m benchmarks.fast ADAPTER [BUNDLE] [--steps N] [--start T] [--threads N]`

ADAPTER is what a quickstart trained (`adapter.safetensors` in its home). Each row changes one thing: the threshold of the
first-block cache, the number of steps, or the weights of the backbone's blocks. Pictures and damage are those of
`benchmarks.fidelity`, preset `heavy`; noise and schedule rule are the same in every row. Times are of the steps alone.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import importlib.util
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.fidelity import SEED, held_out
from components.imaging.degrade.recipe import apply, draw, preset
from models.bundle import FrozenParts, load_frozen
from models.exact import Exact
from models.fast import CONFIGS, Fast, Kind, quantise
from models.field import Field
from models.lucidflux import Adapter, Condition
from models.sampling import schedule

THRESHOLDS = (0.04, 0.08, 0.12, 0.16, 0.2, 0.3)
GUIDANCE = 1.0


@dataclass(frozen=True)
class Bench:
    """Pictures, and where their latents start."""

    frozen: FrozenParts
    adapter: Adapter
    cond: Condition
    hq_01: Tensor
    anchor_BTD: Tensor
    noise_BTD: Tensor


@dataclass(frozen=True)
class Drawn:
    """One row's result."""

    x_BTD: Tensor
    image_01: Tensor
    seconds: float
    skipped: float
    """Steps per picture that ran the first block alone."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("models/tiny"))
    parser.add_argument("--steps", type=int, default=28)
    parser.add_argument("--start", type=float, default=0.4)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    frozen = load_frozen(given.bundle)
    bench = open_bench(frozen, Adapter.load(given.adapter, frozen.config))
    rows: dict[str, tuple[Bench, int, Callable[..., Field]]] = {"exact": (bench, given.steps, Exact)}
    for threshold in THRESHOLDS:
        rows[f"cache, threshold {threshold}"] = (bench, given.steps, lambda *parts, t=threshold: Fast(*parts, threshold=t))
    for steps in (given.steps // 2, given.steps // 4):
        rows[f"{steps} steps"] = (bench, steps, Exact)
    if importlib.util.find_spec("torchao") is None:
        print("torchao is not installed, so no row has 8-bit weights: pip install lucidflux[fast]")
    else:
        rows |= {f"{kind} weights": (lighter(bench, kind), given.steps, Exact) for kind in CONFIGS}
    print(f"{given.steps} steps from {given.start}, n = {len(bench.hq_01)}, {given.threads} threads, torch {torch.__version__}")
    print("| what | steps skipped | time | latent, largest | PSNR to exact | PSNR to HQ |\n|---|---|---|---|---|---|")
    sample(*rows["exact"], start=given.start)  # warms up
    exact = sample(*rows["exact"], start=given.start)
    for name, row in rows.items():
        drawn = sample(*row, start=given.start)
        latent = float((drawn.x_BTD - exact.x_BTD).abs().max())
        print(
            f"| {name} | {drawn.skipped:.1f} | {drawn.seconds / exact.seconds:.2f} | {latent:.3f} "
            f"| {psnr(drawn.image_01, exact.image_01):.1f} | {psnr(drawn.image_01, bench.hq_01):.2f} |",
            flush=True,
        )


def open_bench(frozen: FrozenParts, adapter: Adapter) -> Bench:
    """Damage the pictures and compute what all rows share."""
    pairs = [apply(crop, draw(SEED, f"{index}", 0, preset("heavy"))) for index, crop in enumerate(held_out())]
    hq_01, lq_01 = (torch.from_numpy(np.stack(side)).permute(0, 3, 1, 2) / 255 for side in zip(*pairs, strict=True))
    lrp_01 = frozen.lrp(lq_01).clamp(0, 1)
    anchor_BTD = frozen.encode(lrp_01 * 2 - 1)
    noise_BTD = torch.randn(anchor_BTD.shape, generator=torch.Generator().manual_seed(SEED))
    cond = Condition(lq_01 * 2 - 1, lrp_01 * 2 - 1, frozen.features(lrp_01), *lq_01.shape[-2:])
    return Bench(frozen, adapter, cond, hq_01, anchor_BTD, noise_BTD)


def lighter(bench: Bench, kind: Kind) -> Bench:
    """The same, with a backbone of 8-bit weights."""
    backbone = copy.deepcopy(bench.frozen.backbone)
    quantise(backbone, kind)
    return dataclasses.replace(bench, frozen=dataclasses.replace(bench.frozen, backbone=backbone))


@torch.no_grad()
def sample(bench: Bench, steps: int, kind: Callable[..., Field], *, start: float) -> Drawn:
    """Draw all pictures as one batch."""
    cond = bench.cond
    times = schedule(steps, "none", height_px=cond.height_px, width_px=cond.width_px, start=start)
    field = kind(bench.adapter, bench.frozen, times, GUIDANCE)
    prepared = field.prepare(cond)
    x_BTD = (1 - times[0]) * bench.anchor_BTD + times[0] * bench.noise_BTD
    begun = time.process_time()
    for step, (t, t_next) in enumerate(itertools.pairwise(times)):
        x_BTD = x_BTD + (t_next - t) * field.velocity(x_BTD, step, prepared)
    seconds = time.process_time() - begun
    image_01 = ((bench.frozen.decode(x_BTD, cond.height_px, cond.width_px) + 1) / 2).clamp(0, 1)
    return Drawn(x_BTD, image_01, seconds, float(np.mean(getattr(prepared, "skipped", [0]))))


def psnr(a_01: Tensor, b_01: Tensor) -> float:
    """Mean over the pictures, dB."""
    return float(-10 * torch.log10((a_01 - b_01).square().mean((1, 2, 3))).mean())


if __name__ == "__main__":
    main()
