"""Quality control: what it costs beside decoding and encoding, and how often it is right on real photos.

`python -m benchmarks.quality_control cost|rates [PHOTOS...] [--bundle DIR] [--adapter FILE] [--every N]`

cost: centre crops of 256 and 1024 px as JPEG; decoding, encoding, inspection with and without the LRP, and the drift
statistics of input and output take turns on each file, so that what else the machine does hits all of them. Medians of
processor time on one thread; one restoration of 256 px by the bundle stands beside them.

rates: one crop of 256 px per photo, damaged by each preset and restored. Alarms on the result, on the LRP and on the truth
are false; then a fault is made in each result, and the share that is found is counted, with the LRP as reference and without.
Tiles are 64 px; those that are blurred, turned around or exchanged are of twelve places the one where it changes most.
PHOTOS default to photos_hq and photos_mixed in LUCIDFLUX_TEST_DATA.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from components.imaging import codec
from components.imaging.degrade.recipe import apply, draw, preset
from components.imaging.inspection import CHECKS, inspect
from components.imaging.restorer import RestoredPicture, Restorer
from components.restore import drift
from flows.settings import load

SIDE_PX, TILE_PX, PLACES = 256, 64, 12
COST_SIDES_PX = (256, 1024)
PRESETS = ("moderate", "heavy")
QUALITY, TURNS, FILES = 90, 7, 6
SUFFIXES = (".jpg", ".png", ".webp")
Image = codec.Image


def main() -> None:
    """Measure what was asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("LUCIDFLUX_TEST_DATA", "."))
    parser.add_argument("part", choices=("cost", "rates"))
    parser.add_argument("photos", type=Path, nargs="*", default=[data / "photos_hq", data / "photos_mixed"])
    parser.add_argument("--bundle", type=Path, default=load("tiny").base_folder)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every Nth photo")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    restorer = Restorer(chosen.bundle, chosen.adapter, load("tiny").sampler, threads=1)
    (cost if chosen.part == "cost" else rates)(chosen.photos, restorer, chosen.every)


def crops(folders: Sequence[Path], side_px: int, every: int) -> Iterator[tuple[str, Image]]:
    """Name and a crop of each photo that is large enough, at a place that its name decides."""
    files = [file for folder in folders for file in sorted(folder.iterdir()) if file.suffix in SUFFIXES]
    for file in files[::every]:
        image_u8 = codec.decode(file.read_bytes()).image_u8
        generator = np.random.default_rng(zlib.crc32(file.name.encode()))
        rows, columns = image_u8.shape[0] - side_px, image_u8.shape[1] - side_px
        if min(rows, columns) >= 0:
            top, left = int(generator.integers(rows + 1)), int(generator.integers(columns + 1))
            yield file.name, np.ascontiguousarray(image_u8[top : top + side_px, left : left + side_px])


def cost(folders: Sequence[Path], restorer: Restorer, every: int) -> None:
    """Print milliseconds per picture."""
    print("milliseconds of processor time, median over files of the median of", TURNS, "turns")
    print("| side | decode | encode | inspect | inspect with LRP | drift statistics | inspect / (decode + encode) |")
    print("|---|---|---|---|---|---|---|")
    for side_px in COST_SIDES_PX:
        per_file = [timed(lq_u8) for _, lq_u8 in itertools.islice(crops(folders, side_px, every), FILES)]
        values = {name: statistics.median(times[name] for times in per_file) for name in per_file[0]}
        share = values["inspect"] / (values["decode"] + values["encode"])
        print(f"| {side_px} | " + " | ".join(f"{value:.2f}" for value in values.values()) + f" | {share:.2f} |", flush=True)
    lq_u8 = next(crops(folders, SIDE_PX, every))[1]
    spent = milliseconds(lambda: restorer.restore([lq_u8], [0]))
    print(f"one restoration of {SIDE_PX} px: {spent:.0f} ms")


def timed(lq_u8: Image) -> Mapping[str, float]:
    """Median milliseconds of each part on one picture; its smoothed self stands for LRP and result."""
    file = codec.encode_jpeg(lq_u8, QUALITY)
    lrp_u8, restored_u8 = cv2.GaussianBlur(lq_u8, (0, 0), 1.0), cv2.bilateralFilter(lq_u8, 5, 20, 2)
    ways: Mapping[str, Callable[[], Any]] = {
        "decode": lambda: codec.decode(file),
        "encode": lambda: codec.encode_jpeg(restored_u8, QUALITY),
        "inspect": lambda: inspect(lq_u8, None, restored_u8),
        "with_lrp": lambda: inspect(lq_u8, lrp_u8, restored_u8),
        "drift": lambda: drift.measure(lq_u8, restored_u8, file),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS + 1):
        for name, way in ways.items():
            times[name].append(milliseconds(way))
    return {name: statistics.median(values[1:]) for name, values in times.items()}  # the first fills caches


def milliseconds(way: Callable[[], Any]) -> float:
    """Processor time of one run."""
    start = time.process_time()
    way()
    return 1e3 * (time.process_time() - start)


def rates(folders: Sequence[Path], restorer: Restorer, every: int) -> None:
    """Print false alarms and the share of each fault that is found."""
    alarms: dict[tuple[str, bool], list[tuple[str, ...]]] = {}
    for name, crop in crops(folders, SIDE_PX, every):
        for kind in PRESETS:
            hq_u8, lq_u8 = apply(crop, draw(1, name, 0, preset(kind)))
            (made,) = restorer.restore([lq_u8], [1])
            generator = np.random.default_rng(zlib.crc32(f"{name} {kind}".encode()))
            for what, picture in shown(hq_u8, lq_u8, made, generator).items():
                for lrp_u8 in (None, made.lrp_u8):
                    failed = tuple(one.check for one in inspect(lq_u8, lrp_u8, picture).failed)
                    alarms.setdefault((what, lrp_u8 is not None), []).append(failed)
    print("| picture | n | refused | refused, LRP known | by, LRP known |\n|---|---|---|---|---|")
    for what in dict.fromkeys(what for what, _ in alarms):
        bare, known = alarms[what, False], alarms[what, True]
        counts = Counter(check for failed in known for check in failed)
        by = ", ".join(f"{check} {counts[check]}" for check in CHECKS if counts[check])
        shares = " | ".join(f"{100 * sum(bool(one) for one in each) / len(each):.1f} %" for each in (bare, known))
        print(f"| {what} | {len(bare)} | {shares} | {by} |", flush=True)


def shown(hq_u8: Image, lq_u8: Image, made: RestoredPicture, generator: np.random.Generator) -> dict[str, Image]:
    """What should pass, and what should not."""
    good = made.restored_u8
    return {
        "restored": good,
        "LRP": made.lrp_u8,
        "truth (HQ)": hq_u8,
        "black tile": tile(good, generator, np.zeros_like),
        "tile of noise": tile(good, generator, lambda one: generator.integers(0, 256, one.shape, np.uint8)),
        "noisy tile, sigma 40": tile(good, generator, lambda one: rounded(one + generator.normal(0, 40, one.shape))),
        "exchanged tiles": most(good, lambda: exchanged(good, generator)),
        "tile turned around": most(good, lambda: tile(good, generator, lambda one: one[::-1, ::-1])),
        "tile blurred, sigma 5": most(good, lambda: tile(cv2.GaussianBlur(good, (0, 0), 5), generator, None, good)),
        "shifted by 8 px": np.pad(good, ((0, 0), (8, 0), (0, 0)), mode="edge")[:, :-8],
        "shifted by 4 px": np.pad(good, ((4, 0), (0, 0), (0, 0)), mode="edge")[:-4],
        "hues turned by 10 degrees": turned(good, 10),
        "hues turned by 20 degrees": turned(good, 20),
        "stretched to 3 % more clipped": stretched(good, 0.03),
        "the LQ": lq_u8,
        "grey": np.full_like(good, 128),
        "black": np.zeros_like(good),
    }


def rounded(values: Any) -> Image:
    """To 8 bits."""
    image_u8: Image = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    return image_u8


def place(generator: np.random.Generator) -> tuple[slice, slice]:
    """A tile anywhere, not on a grid."""
    top, left = (int(value) for value in generator.integers(SIDE_PX - TILE_PX + 1, size=2))
    return slice(top, top + TILE_PX), slice(left, left + TILE_PX)


def tile(source: Image, generator: np.random.Generator, change: Callable[[Any], Any] | None, into: Image | None = None) -> Image:
    """Change one tile, or put it from one picture into another."""
    where = place(generator)
    made = (source if into is None else into).copy()
    made[where] = change(source[where]) if change else source[where]
    return made


def exchanged(good: Image, generator: np.random.Generator) -> Image:
    """Two tiles in each other's place."""
    first, second = place(generator), place(generator)
    made = good.copy()
    made[first], made[second] = good[second], good[first]
    return made


def most(good: Image, make: Callable[[], Image]) -> Image:
    """Of several, the one that differs most."""
    made = [make() for _ in range(PLACES)]
    return max(made, key=lambda one: cv2.norm(one, good, cv2.NORM_L1))


def turned(good: Image, degrees: float) -> Image:
    """Turn all hues in the a*b* plane."""
    lab = cv2.cvtColor(good.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    chroma = (lab[..., 1] + 1j * lab[..., 2]) * np.exp(1j * np.radians(degrees))
    lab[..., 1], lab[..., 2] = chroma.real, chroma.imag
    return rounded(255 * cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))


def stretched(good: Image, share: float) -> Image:
    """Stretch about the middle until so many more pixels are clipped."""

    def clipped(image_u8: Image) -> float:
        return float(((image_u8 == 0) | (image_u8 == 255)).any(axis=-1).mean())

    low, high = 1.0, 16.0
    for _ in range(14):
        gain = (low + high) / 2
        low, high = (low, gain) if clipped(rounded((good - 128.0) * gain + 128)) >= clipped(good) + share else (gain, high)
    return rounded((good - 128.0) * high + 128)


if __name__ == "__main__":
    main()
