"""Pairs per second made on a device, beside the processor's path on one thread and on all cores; and how far the two are apart.

    python -m benchmarks.device_synthesis --photos FOLDER [--preset dreamclear] [--side 1024] [--pairs 16] [--device cuda]

All three take the same recipes and decoded pictures in one run. `all cores` is one process per core with a thread each, beginning
when all have their pictures. Without a GPU the device is the processor: that says what the fallback costs, nothing about a GPU.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Manager, get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.synthesis import pictures
from components.imaging.degrade import recipe
from components.imaging.degrade.batch import apply_batch
from components.imaging.degrade.carrier import Image

BATCH = 8
"""Pairs per call, as in training."""
PHOTOS = 8
Work = tuple[list[Image], list[recipe.Recipe]]


def work(photos: Path, preset: str, side_px: int, numbers: range) -> Work:
    """Pictures and recipes of some pairs."""
    settings = recipe.preset(preset).model_copy(update={"crop_px": side_px})
    found = pictures(photos, side_px, PHOTOS)
    return [found[number % len(found)] for number in numbers], [
        recipe.draw(0, f"pair-{number}", 0, settings) for number in numbers
    ]


def on_processor(given: Work) -> tuple[float, list[Any]]:
    """Seconds and pairs by the processor's path."""
    began = time.perf_counter()
    made = [recipe.apply(image_u8, one) for image_u8, one in zip(*given, strict=True)]
    return time.perf_counter() - began, made


def in_worker(job: tuple[Any, Path, str, int, range]) -> float:
    """Seconds for some pairs in a worker, begun when all are at the barrier."""
    cv2.setNumThreads(1)
    barrier, *asked = job
    given = work(*asked)
    on_processor((given[0][:1], given[1][:1]))
    barrier.wait()
    return on_processor(given)[0]


def on_device(given: Work, device: torch.device) -> tuple[float, list[torch.Tensor]]:
    """Seconds and LQ batches on the device."""
    began, made = time.perf_counter(), []
    for start in range(0, len(given[0]), BATCH):
        part = slice(start, start + BATCH)
        made.append(apply_batch(given[0][part], given[1][part], device)[1])
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began, made


def say_difference(exact: list[Any], made: list[torch.Tensor]) -> None:
    """Print how far the LQ of both ways are apart."""
    lq = torch.cat(made).permute(0, 2, 3, 1).cpu().numpy().astype(np.float32)
    differences = [np.abs(one - pair[1]) for one, pair in zip(lq, exact, strict=True)]
    means = [float(each.mean()) for each in differences]
    worst = min(10 * math.log10(255**2 / max(float((each**2).mean()), 1e-9)) for each in differences)
    equal = sum(not each.any() for each in differences)
    print(
        f"  LQ apart by {np.mean(means):.4f} grey levels in the mean, {max(means):.4f} in the worst pair (PSNR {worst:.1f} dB), "
        f"99.9 % of its pixels within {max(np.quantile(each, 0.999) for each in differences):.0f}; equal: {equal} of {len(means)}"
    )


def main() -> None:
    """Measure the three ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--preset", default="dreamclear")
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="of torch on the processor")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(asked.threads)
    device, cores = torch.device(asked.device), len(os.sched_getaffinity(0))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU, this processor"
    print(f"{asked.preset}, {asked.side} px, {asked.pairs} pairs in batches of {BATCH}; device: {name}, {cores} cores")
    given = work(asked.photos, asked.preset, asked.side, range(asked.pairs))
    warm = (given[0][:BATCH], given[1][:BATCH])
    on_processor(warm)
    seconds, exact = on_processor(given)
    print(f"  processor, one thread: {asked.pairs / seconds:.2f} pairs/s")
    with Manager() as manager, ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        barrier, shape = manager.Barrier(cores), (asked.photos, asked.preset, asked.side)
        spent = max(pool.map(in_worker, [(barrier, *shape, range(first, first + asked.pairs)) for first in range(cores)]))
    print(f"  processor, all cores: {cores * asked.pairs / spent:.2f} pairs/s")
    on_device(warm, device)
    seconds, made = on_device(given, device)
    print(f"  device, {torch.get_num_threads()} torch thread(s): {asked.pairs / seconds:.2f} pairs/s")
    say_difference(exact, made)


if __name__ == "__main__":
    main()
