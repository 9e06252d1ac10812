"""What both filters cost beside the decoding, and beside plain OpenCV in float64, on one thread.

`python -m benchmarks.filters [PHOTOS] [--repeats N]`

Centre crops of real photos are encoded as baseline 4:2:0 JPEGs of two sizes and two qualities. Four ways take turns on each
file, so that what else the machine does hits all of them. In its turn a way runs a few times; the first run finds caches full
of what the way before it left and is not counted. Of the others, the median of the processor time counts:

- luma: codec.luma, the product's checked decode;
- ours: codec.luma and sharpness.score;
- bare: cv2.imdecode to grey, no check of anything;
- plain: bare, cv2.Laplacian, cv2.Sobel twice and the variance of each patch, in float64.

Blur and flat share of `ours` and `plain` must agree within 1e-9, otherwise the program ends with 1.
PHOTOS defaults to photos_hq in LUCIDFLUX_TEST_DATA.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from components.imaging import codec, sharpness

SIZES_PX = ((1024, 1024), (2048, 1536))
QUALITIES = (90, 95)
RUNS = 4
"""Of one way in its turn; the first is not counted."""
TOLERANCE = 1e-9
PATCH_PX = sharpness.PATCH_PX


def main() -> None:
    """Measure every size and quality and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("LUCIDFLUX_TEST_DATA", "."))
    parser.add_argument("photos", type=Path, nargs="?", default=data / "photos_hq")
    parser.add_argument("--repeats", type=int, default=7, help="turns per file")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    print("milliseconds, median over the files of the median of", chosen.repeats, "turns")
    print("   size        q files   luma   bare  filters   ours  plain   ours/luma  ours/bare  plain/ours")
    for width_px, height_px in SIZES_PX:
        crops = list(centre_crops(chosen.photos, width_px, height_px))
        if not crops:
            sys.exit(
                f"Expected photos of at least {width_px}x{height_px} px in {chosen.photos}, found none. Name another folder."
            )
        for quality in QUALITIES:
            found = measured([codec.encode_jpeg(crop, quality) for crop in crops], chosen.repeats)
            print(f"{width_px:5}x{height_px:<5} {quality:4} {len(crops):5} {line(found)}", flush=True)


def centre_crops(folder: Path, width_px: int, height_px: int) -> Iterator[codec.Image]:
    """The middle of every photo that is large enough."""
    for file in sorted(folder.iterdir()):
        image_u8 = codec.decode(file.read_bytes()).image_u8
        top, left = (image_u8.shape[0] - height_px) // 2, (image_u8.shape[1] - width_px) // 2
        if min(top, left) >= 0:
            yield np.ascontiguousarray(image_u8[top : top + height_px, left : left + width_px])


def measured(files: list[bytes], repeats: int) -> Mapping[str, float]:
    """Median milliseconds of each way."""
    ways: Mapping[str, Callable[[bytes], Any]] = {"luma": codec.luma, "ours": ours, "bare": bare, "plain": plain}
    per_file: dict[str, list[float]] = {name: [] for name in ways}
    for data in files:
        if not np.allclose(ours(data), plain(data), rtol=TOLERANCE, atol=0):
            sys.exit(f"Expected the scores of plain OpenCV, {plain(data)}, got {ours(data)}.")
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, way in ways.items():
                times[name] += [milliseconds(way, data) for _ in range(RUNS)][1:]
        for name, values in times.items():
            per_file[name].append(statistics.median(values))
    return {name: statistics.median(values) for name, values in per_file.items()}


def milliseconds(way: Callable[[bytes], Any], data: bytes) -> float:
    """Processor time of one run."""
    start = time.process_time()
    way(data)
    return 1e3 * (time.process_time() - start)


def line(found: Mapping[str, float]) -> str:
    """One row of the table."""
    luma, ours_ms, bare_ms, plain_ms = found["luma"], found["ours"], found["bare"], found["plain"]
    return (
        f"{luma:6.2f} {bare_ms:6.2f} {ours_ms - luma:8.2f} {ours_ms:6.2f} {plain_ms:6.1f}"
        f" {ours_ms / luma:11.2f} {ours_ms / bare_ms:10.2f} {plain_ms / ours_ms:11.1f}"
    )


def ours(data: bytes) -> tuple[float, float]:
    """Both scores as curation computes them."""
    return sharpness.score(codec.luma(data))


def bare(data: bytes) -> Any:
    """Grey pixels without any check."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)


def plain(data: bytes) -> tuple[float, float]:
    """Both scores as one would write them down."""
    luma_u8 = bare(data)
    blur = cv2.Laplacian(luma_u8, cv2.CV_64F).var()
    across, down = cv2.Sobel(luma_u8, cv2.CV_64F, 1, 0), cv2.Sobel(luma_u8, cv2.CV_64F, 0, 1)
    magnitude = np.sqrt(across**2 + down**2)
    rows, columns = luma_u8.shape[0] // PATCH_PX, luma_u8.shape[1] // PATCH_PX
    patches = [
        magnitude[PATCH_PX * row : PATCH_PX * (row + 1), PATCH_PX * column : PATCH_PX * (column + 1)].var()
        for row in range(rows)
        for column in range(columns)
    ]
    return float(blur), float(np.mean(np.array(patches) < sharpness.FLAT_BELOW))


if __name__ == "__main__":
    main()
