"""What prints find and what they wrongly join, what they cost, and how the index over them grows.

    python -m benchmarks.duplicates recall --photos FOLDER [FOLDER …]
    python -m benchmarks.duplicates wrong  --photos FOLDER [FOLDER …] [--pictures 10000] [--first SEED]
    python -m benchmarks.duplicates index  [--rows 100000]

`recall` changes each photo in known ways and asks for groups and leaks of them all at once. `wrong` makes pictures of
which is known what they share (made_pictures.py) and counts those that stand in a group where they do not belong. `index`
makes prints with codes distributed as those of real pictures, and times the search for candidates among them.
"""

from __future__ import annotations

import argparse
import math
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks import made_pictures
from components.backends import manifest
from components.backends.storage import LocalStorage
from components.backends.tables import Tables
from components.curate import duplicates, leaks
from components.errors import DecodeError
from components.imaging import codec, prints, sharpness
from components.imaging.prints import keypoints, layout

Luma = npt.NDArray[np.uint8]

GROUPED = 0.8
LEAKING = 0.25
PART_ROWS = 4096
FLAT = 0.5
TOLERANCE = 0.1
"""Of the measured part; one px of a thumbnail is 0.03 of a side."""
COPIED = 50


def photos(folders: list[Path]) -> dict[str, Luma]:
    """Decode the pictures of some folders; a second one that shows the same as a first is left out."""
    found: dict[str, Luma] = {}
    kept: list[bytes] = []
    for path in sorted(path for folder in folders for path in folder.iterdir()):
        try:
            luma_u8 = codec.luma(path.read_bytes(), limits=codec.STORED)
        except DecodeError:
            continue
        taken = prints.fingerprint(luma_u8)
        if any(prints.overlap(taken, other) for other in kept):
            continue
        kept.append(taken)
        found[path.name] = luma_u8
    return found


def jpeg(luma_u8: Luma, quality: int) -> Luma:
    """Encode and decode."""
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", luma_u8, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE))


def resized(luma_u8: Luma, factor: float) -> Luma:
    """Rescale as a careful program does."""
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(luma_u8, None, fx=factor, fy=factor, interpolation=how))


def cropped(luma_u8: Luma, area: float, across: float, down: float) -> Luma:
    """Cut out a part of the picture's shape; `across` and `down` say where, 0..1."""
    height, width = (round(side * math.sqrt(area)) for side in luma_u8.shape)
    top, left = round((luma_u8.shape[0] - height) * down), round((luma_u8.shape[1] - width) * across)
    return luma_u8[top : top + height, left : left + width]


CHANGES: dict[str, Callable[[Luma], Luma]] = {
    "JPEG q50": lambda luma_u8: jpeg(luma_u8, 50),
    "resize 0.5": lambda luma_u8: resized(luma_u8, 0.5),
    "resize 0.7": lambda luma_u8: resized(luma_u8, 0.7),
    "resize 1.4": lambda luma_u8: resized(luma_u8, 1.4),
    "resize 2": lambda luma_u8: resized(luma_u8, 2),
    "horizontal flip": lambda luma_u8: luma_u8[:, ::-1],
    "centre crop 50 %": lambda luma_u8: cropped(luma_u8, 0.5, 0.5, 0.5),
    "corner crop 25 %, upper left": lambda luma_u8: cropped(luma_u8, 0.25, 0, 0),
    "corner crop 25 %, upper right": lambda luma_u8: cropped(luma_u8, 0.25, 1, 0),
    "corner crop 25 %, lower left": lambda luma_u8: cropped(luma_u8, 0.25, 0, 1),
    "corner crop 25 %, lower right": lambda luma_u8: cropped(luma_u8, 0.25, 1, 1),
    "crop 25 % + flip + half + q50": lambda luma_u8: jpeg(resized(cropped(luma_u8, 0.25, 0.4, 0.6)[:, ::-1], 0.5), 50),
    "quarter turn": np.rot90,
    "JPEG q10": lambda luma_u8: jpeg(luma_u8, 10),
    "blurred, sigma 3 px": lambda luma_u8: np.asarray(cv2.GaussianBlur(luma_u8, (0, 0), 3)),
    "darkened to 0.3": lambda luma_u8: (luma_u8 * 0.3).astype(np.uint8),
    "black border 15 %": lambda luma_u8: np.pad(luma_u8, round(0.15 * min(luma_u8.shape))),
}


def session(folder: str, rows: dict[str, bytes]) -> Tables:
    """A session with `luma`."""
    tables = Tables(LocalStorage(folder))
    tables.table("luma", "luma", [{"id": name, "print": taken} for name, taken in rows.items()])
    return tables


def recall(folders: list[Path]) -> None:
    """Print the share of changed photos that are grouped with, and found as a leak from, their original."""
    originals = photos(folders)
    taken = {name: prints.fingerprint(luma_u8) for name, luma_u8 in originals.items()}
    print(f"{len(originals)} different photos; {np.mean([len(data) for data in taken.values()]):.0f} bytes a print")
    print("Shares are: in one group with the original / found as a leak from it.")
    print("| change | all photos | originals that pass curation's filters | copies that are not flat |")
    print("|---|---|---|---|")
    passing = {name for name, luma_u8 in originals.items() if passes(luma_u8)}
    for change, made in CHANGES.items():
        rows = {name: np.ascontiguousarray(made(luma_u8)) for name, luma_u8 in originals.items()}
        detailed = {name for name, luma_u8 in rows.items() if not sharpness.score(luma_u8)[1] > FLAT}
        grouped, leaking = found(taken, {f"{name} changed": prints.fingerprint(luma_u8) for name, luma_u8 in rows.items()})
        cells = [
            f"{len(grouped & among) / len(among):.3f} / {len(leaking & among) / len(among):.3f} of {len(among)}"
            for among in (set(taken), passing, detailed)
        ]
        print(f"| {change} | {' | '.join(cells)} |")


def passes(luma_u8: Luma) -> bool:
    """Whether a photo has a patch and is neither blurred, noisy nor flat to curation (paper section 3.4)."""
    blur, flat_share = sharpness.score(luma_u8)
    return 150 <= blur <= 8000 and flat_share <= FLAT


def found(taken: dict[str, bytes], changed: dict[str, bytes]) -> tuple[set[str], set[str]]:
    """Names of the originals whose changed copy is in their group, and is a leak from them."""
    with tempfile.TemporaryDirectory() as folder, session(folder, taken | changed) as tables:
        duplicates.find_groups(tables, overlap=GROUPED)
        groups = {row["id"]: row["group"] for row in tables.rows("select * from groups")}
    with tempfile.TemporaryDirectory() as folder, session(folder, changed) as tables:
        tables.run("create table benchmarks (benchmark varchar, benchmark_id varchar, print blob)")
        for name, data in taken.items():
            tables.run("insert into benchmarks values ('made', $name, $data)", {"name": name, "data": data})
        leaks.find_leaks(tables, overlap=LEAKING)
        leaking = {row["id"]: row["benchmark_id"] for row in tables.rows("select * from leaks")}
    grouped = {name for name in taken if name in groups and groups[name] == groups.get(f"{name} changed")}
    return grouped, {name for name in taken if leaking.get(f"{name} changed") == name}


def wrong(folders: list[Path], count: int, first: int) -> None:
    """Print how many of many made pictures stand in a group without sharing content with anything there."""
    taken: dict[str, bytes] = {}
    pieces: dict[str, made_pictures.Pieces] = {}
    spent = 0.0
    originals = {name: luma_u8 for name, luma_u8 in photos(folders).items() if not symmetric(luma_u8)}
    for number, (kind, luma_u8, parts) in enumerate(made_pictures.pictures(originals, count, first)):
        name = f"{kind} {number:06d}"
        started = time.perf_counter()
        taken[name] = prints.fingerprint(luma_u8)
        spent += time.perf_counter() - started
        pieces[name] = parts
    print(f"{len(taken)} made pictures, {1e3 * spent / len(taken):.1f} ms a print")
    with tempfile.TemporaryDirectory() as folder, session(folder, taken) as tables:
        started = time.perf_counter()
        duplicates.find_groups(tables, overlap=GROUPED)
        print(f"groups in {time.perf_counter() - started:.1f} s")
        groups = defaultdict(list)
        for row in tables.rows('select * from groups order by "group", id'):
            groups[row["group"]].append(row["id"])
    print(f"{sum(map(len, groups.values()))} pictures in {len(groups)} groups")
    most = {
        name: max(made_pictures.shared(pieces[name], pieces[other]) for other in members if other != name)
        for members in groups.values()
        for name in members
    }
    for least in (GROUPED - TOLERANCE, 0.5):
        few = {name: round(part, 2) for name, part in most.items() if part < least}
        print(f"in a group without sharing {least:.1f} of the smaller with any of it: {len(few)} of {len(taken)}: {few}")


def symmetric(luma_u8: Luma) -> bool:
    """Whether one half of a picture is the mirror image of the other: what its cuts share is not known."""
    middle = luma_u8.shape[1] // 2
    halves = luma_u8[:, :middle], luma_u8[:, -middle:]
    left, right = (prints.fingerprint(np.ascontiguousarray(half)) for half in halves)
    return middle > 0 and prints.overlap(left, right) is not None


def index(rows: int) -> None:
    """Print how candidates and groups grow from a quarter of the prints to all, and from there by calculation."""
    small, large = search(rows // 4), search(rows)
    growth = {name: max(1.0, math.log(large[name] / small[name], 4)) for name in ("hits", "seconds")}
    for many in (3_000_000, 100_000_000):
        more = many / rows
        hits = min(large["hits"] * more ** growth["hits"], (duplicates.MOST_PAIRED - 1) / 2 * large["postings"] * more)
        print(
            f"by calculation, {many:.0e} prints: {large['stored'] * more / 1e9:.0f} GB of prints, "
            f"{large['postings'] * more:.1e} postings ({large['index'] * more / 1e9:.1f} GB of index), {hits:.1e} hits, "
            f"{large['seconds'] * more ** growth['seconds'] / 3600:.1f} h for candidates on one such machine "
            f"(growth: hits {growth['hits']:.2f}, time {growth['seconds']:.2f})"
        )


def search(rows: int) -> dict[str, float]:
    """Time candidates and groups among made prints."""
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStorage(folder)
        keys = [
            manifest.write_part(store, f"parts/{start}.parquet", "luma", made_prints(start, min(PART_ROWS, rows - start)))
            for start in range(0, rows, PART_ROWS)
        ]
        with Tables(store) as tables:
            tables.view("luma", "luma", keys)
            started = time.perf_counter()
            duplicates.candidates(tables)
            seconds = time.perf_counter() - started
            counts = {name: tables.one(f"select count(*) as n from {name}")["n"] for name in ("postings", "hits", "candidates")}
            blocks = tables.one("select block_size * used_blocks as n from pragma_database_size()")["n"]
            started = time.perf_counter()
            duplicates.find_groups(tables, overlap=GROUPED)
            everything = time.perf_counter() - started
            grouped = tables.one("select count(*) as n from groups")["n"]
        stored = sum(store.size(key) for key in keys)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{rows} prints, {stored / rows:.0f} bytes each in Parquet; {counts}; index {blocks / rows:.0f} bytes a print")
    print(f"candidates {seconds:.1f} s, groups {everything:.1f} s in all, {grouped} pictures in groups, peak {peak:.0f} MiB")
    return {**counts, "seconds": seconds, "index": blocks, "stored": stored}


def made_prints(start: int, count: int) -> Iterator[dict[str, Any]]:
    """Prints with codes of made pictures, in which one bit of eight is changed; one print of COPIED is a copy."""
    generator = np.random.default_rng(start)
    pool = code_pool()
    blobs = keypoints.MOST_KEPT
    for number in range(start, start + count):
        codes = generator.choice(pool, blobs)
        codes ^= np.bitwise_and.reduce(generator.integers(0, 2**64, (3, blobs), dtype=np.uint64))
        x, y = generator.uniform(20, 380, (2, blobs))
        made = keypoints.Blobs(
            codes, generator.integers(0, 8, blobs, dtype=np.uint8), x, y, 2.0 ** generator.uniform(0.7, 4, blobs)
        )
        plane = generator.integers(0, 256, (30, 30)).astype(np.float32)
        if number % COPIED != 1:
            data = layout.pack(cv2.resize(plane, (400, 400)), made, (int(codes[0]), 0))
        yield {"id": f"{number:064x}", "print": data}


def code_pool() -> npt.NDArray[np.uint64]:
    """Codes of some made pictures; made once."""
    if not _POOL:
        taken = [prints.fingerprint(luma_u8) for _, luma_u8, _ in made_pictures.pictures({}, 200)]
        _POOL.append(np.concatenate([layout.unpack(data).codes for data in taken if data]))
    return _POOL[0]


_POOL: list[npt.NDArray[np.uint64]] = []


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("recall", "wrong", "index"))
    parser.add_argument("--photos", type=Path, nargs="+", default=[])
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first made picture")
    parser.add_argument("--rows", type=int, default=100_000)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    if given.what != "index" and not given.photos:
        sys.exit("Name at least one folder: --photos FOLDER")
    if given.what == "recall":
        recall(given.photos)
    elif given.what == "wrong":
        wrong(given.photos, given.pictures, given.first)
    else:
        index(given.rows)


if __name__ == "__main__":
    main()
