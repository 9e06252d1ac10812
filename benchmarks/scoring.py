"""Scoring many pictures: two workers against one, and a second run against the first.

    python -m benchmarks.scoring --photos FOLDER [--pictures 200] [--side 384] [--metrics NAME,...]

Crops of the photos, at new places each time round, are the references; the same crops through JPEG at quality 30 are scored.
Each run starts with an empty cache and with processes that have to load pyiqa, but for the one that is called second: it has
the cache of the run before it. Seconds of the clock; the machine should have nothing else to do.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from components.imaging import codec, iqa

METRICS = ("psnr", "ssim", "ms_ssim", "fsim", "gmsd", "nlpd", "piqe", "entropy")
QUALITY = 30
SUFFIXES = (".jpg", ".png")


def crops(folder: Path, side_px: int) -> Iterator[codec.Image]:
    """Squares of the photos, without end."""
    photos = [path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES]
    rng = np.random.default_rng(0)
    for path in itertools.cycle(photos):
        image_u8 = codec.decode(path.read_bytes()).image_u8
        if min(image_u8.shape[:2]) >= side_px:
            top, left = (int(rng.integers(0, side - side_px + 1)) for side in image_u8.shape[:2])
            yield np.ascontiguousarray(image_u8[top : top + side_px, left : left + side_px])


def written(folder: Path, images_u8: Iterator[codec.Image], count: int) -> list[iqa.Item]:
    """Write pictures and their references as files."""
    items = []
    for number, image in enumerate(itertools.islice(images_u8, count)):
        item = iqa.Item(f"{number:04}", folder / f"{number:04}.jpg", folder / f"{number:04}.png")
        item.picture.write_bytes(codec.encode_jpeg(image, QUALITY))
        assert item.reference
        item.reference.write_bytes(codec.encode_png(image))
        items.append(item)
    return items


def timed(items: Sequence[iqa.Item], metrics: Sequence[str], cache: Path, workers: int) -> tuple[float, list[dict[str, object]]]:
    """(seconds, rows) of one run."""
    started = time.perf_counter()
    rows = iqa.score_files(items, metrics, weights=None, cache=cache, workers=workers)
    return time.perf_counter() - started, rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--side", type=int, default=384)
    parser.add_argument("--metrics", default=",".join(METRICS))
    given = parser.parse_args()
    metrics = given.metrics.split(",")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        items = written(folder, crops(given.photos, given.side), given.pictures)
        load = os.getloadavg()[0]
        print(f"{len(items)} pictures of {given.side} px x {len(metrics)} metrics; load before {load:.1f} of {os.cpu_count()}")
        one, rows = timed(items, metrics, folder / "one", 1)
        print(f"one worker    {one:8.1f} s", flush=True)
        two, rows_of_two = timed(items, metrics, folder / "two", 2)
        again, rows_again = timed(items, metrics, folder / "two", 2)
        print(f"two workers   {two:8.1f} s   {one / two:.2f} times as fast")
        print(
            f"second run    {again:8.2f} s   {again / two:.2%} of the first with two workers, {again / one:.2%} of that with one"
        )
        same = str(rows) == str(rows_of_two) == str(rows_again)  # NaN is unlike itself
        print(f"the same to the last bit: {same}; without a score: {sum(bool(row['reason']) for row in rows)}")


if __name__ == "__main__":
    main()
