"""What the quality rank costs a picture: PIQE, and CLIP-IQA with and without remembering what the prompts encode to.

    python -m benchmarks.quality --photos FOLDER [--pictures 6] [--rounds 3]

CLIP's RN50 is made here with the published layout and random values, since its cost does not depend on them. Everything is
timed in turns over the same 1024x1024 JPEGs cut from the photos: seconds of the processor, of which one thread works, or on
an accelerator seconds of the clock.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from components.imaging import codec, iqa
from components.imaging.iqa import loading, scoring

SIDE_PX = 1024
QUALITY = 90
WAYS = ("decode", "piqe", "clipiqa", "clipiqa, prompts every time")


def made_rn50(folder: Path) -> Path:
    """Write a TorchScript archive with the layout of CLIP's RN50."""
    iqa.ensure_pkg_resources()
    from pyiqa.archs.clip_model import CLIP

    torch.manual_seed(0)
    clip = CLIP(1024, 224, (3, 4, 6, 3), 64, None, 77, 49408, 512, 8, 12).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trace: Any = torch.jit.trace_module
        trace(clip, {"encode_text": torch.zeros(1, 77, dtype=torch.long)}, check_trace=False).save(str(folder / "RN50.pt"))
    return folder / "RN50.pt"


def networks(place: str) -> dict[str, iqa.Scorer]:
    """CLIP-IQA as it runs here, and as it runs when the prompts are encoded at every call."""
    import pyiqa

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive = made_rn50(Path(folder))
        cached = loading.build("clipiqa", {"clip-rn50": archive}, place)
        plain = pyiqa.create_metric("clipiqa", device=place, backbone=str(archive))
    piqe = loading.build("piqe", {}, "cpu")
    return {
        "piqe": iqa.Scorer("piqe", piqe),
        "clipiqa": iqa.Scorer("clipiqa", cached, place=place),
        "clipiqa, prompts every time": iqa.Scorer("clipiqa", plain, place=place),
    }


def scored(scorer: iqa.Scorer, images: list[codec.Image]) -> list[float]:
    """Score every picture."""
    return list(scorer.stream(images))


def milliseconds(work: Callable[[], object], pictures: int, clock: Callable[[], float]) -> float:
    """Time one piece of work, per picture."""
    started = clock()
    work()
    return 1000 * (clock() - started) / pictures


def measure(photos: list[bytes], rounds: int, place: str) -> dict[str, list[float]]:
    """Milliseconds per picture of each way, a value per round."""
    scorers, clock = networks(place), time.process_time if place == "cpu" else time.perf_counter
    images = [codec.decode(data).image_u8 for data in photos]
    for scorer in scorers.values():
        list(scorer.stream(images[:1]))
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        times["decode"].append(milliseconds(lambda: [codec.decode(data) for data in photos], len(photos), clock))
        for way, scorer in scorers.items():
            times[way].append(milliseconds(partial(scored, scorer, images), len(images), clock))
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    files = [path for path in sorted(given.photos.iterdir()) if path.suffix == ".jpg"][: given.pictures]
    cuts = [scoring.fitted(codec.decode(path.read_bytes()).image_u8, SIDE_PX) for path in files]
    photos = [codec.encode_jpeg(cut, QUALITY) for cut in cuts]
    place = iqa.identity.device("clipiqa")
    sys.stdout.write(
        f"{len(photos)} photos of {SIDE_PX}x{SIDE_PX} px, CLIP-IQA at {iqa.info('clipiqa').input_px} px on {place}\n"
    )
    for way, values in measure(photos, given.rounds, place).items():
        sys.stdout.write(f"{way:30}{statistics.median(values):9.0f} ms a picture ({min(values):.0f} to {max(values):.0f})\n")


if __name__ == "__main__":
    main()
