"""Make DIV2K-Val and LSDIR-Val from the user's copies: seeded random crops (paper section 4.2).

The paper says how many crops and of which sets, not which ones. Here every crop is drawn from (seed, its number), the five
degradations of DIV2K take turns, and `benchmark.json` says what each crop is, so that two copies of the source give the same
benchmark, byte for byte. A killed run goes on: a crop that is there is not made again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from components.backends.engine import map_shards
from components.backends.storage import LocalStorage
from components.errors import SourceError
from components.evaluate.benchmarks.layout import BUILT, SUFFIXES, pictures
from components.evaluate.benchmarks.table import DEGRADATIONS, DIV2K_HQ, PATCHES, SIDE_PX, info
from components.imaging import codec
from components.imaging.degrade import recipe
from components.records import Progress, Record, content_hash, quiet

SHRINK = 4
"""Of all five degradations of DIV2K."""
TRAINING_PRESET = "dreamclear"
"""Degradation that the paper trains with; LSDIR-Val is made by it."""


class Plan(Record):
    """What to cut."""

    name: str
    """Key of BENCHMARKS."""
    count: int = PATCHES
    side_px: int = SIDE_PX
    """Side of an HQ crop."""
    seed: int = 0


class Cut(Record):
    """One crop."""

    name: str
    degradation: str
    photo: str
    """File name of the HQ photo."""
    top: int
    left: int


class BuiltBenchmark(Record):
    """A benchmark that was made."""

    name: str
    folder: str
    pictures: int
    photos: int
    """Photos that were large enough; crops are drawn from these."""
    too_small: int
    digest: str
    """Of plan and crops."""

    def text(self) -> str:
        """For a person."""
        small = f", {self.too_small} were smaller than a crop" if self.too_small else ""
        return f"{self.pictures} crops of {self.photos} photos{small}: {self.folder}"


@dataclass(frozen=True)
class _Job:
    """The crops of one photo."""

    plan: Plan
    photo: Path
    cuts: tuple[Cut, ...]
    lq: Mapping[str, tuple[Path, ...]]
    """Degradation -> pictures that it made of the photo."""
    out: Path


def build(plan: Plan, source: Path, out: Path, *, workers: int = 1, progress: Progress = quiet) -> BuiltBenchmark:
    """Cut a benchmark.

    Args:
        plan: which, how many, which seed.
        source: folder of the user's copy: DIV2K's archives unpacked side by side, or LSDIR's HR photos.
        out: folder of the benchmark.
        workers: processes.
        progress: called after each photo.

    Raises:
        SourceError: the copy lacks something, or another plan was carried out in `out` before.
    """
    if not info(plan.name).built:
        raise SourceError(f"{plan.name} is distributed as it is used: {info(plan.name).source}. There is nothing to build.")
    photos, made = _div2k(source) if plan.name == "div2k-val" else (_photos(source), {})
    sizes = {name: codec.size_px(path.read_bytes()) for name, path in sorted(photos.items())}
    sizes = {name: size_px for name, size_px in sizes.items() if min(size_px) >= plan.side_px}
    if not sizes:
        raise SourceError(
            f"Expected photos of at least {plan.side_px} px a side in {source}, the {len(photos)} there are smaller."
        )
    cuts = sorted((_drawn(plan, number, sizes) for number in range(plan.count)), key=lambda cut: (cut.photo, cut.name))
    store = LocalStorage(out)
    _claim(store, plan, cuts)
    jobs = [
        _Job(plan, photos[photo], tuple(own), {kind: tuple(found[photo]) for kind, found in made.items()}, out)
        for photo, own in groupby(cuts, key=lambda cut: cut.photo)
    ]
    map_shards(cut_photo, jobs, workers=workers, phase="photos", progress=progress)
    listed = {"plan": plan.model_dump(mode="json"), "pictures": [cut.model_dump(mode="json") for cut in cuts]}
    store.put(BUILT, json.dumps(listed, indent=1).encode())
    return BuiltBenchmark(
        name=plan.name,
        folder=str(out),
        pictures=len(cuts),
        photos=len(sizes),
        too_small=len(photos) - len(sizes),
        digest=content_hash(plan, *cuts),
    )


def cut_photo(job: _Job) -> int:
    """Make the crops of one photo that are not there yet; gives how many."""
    store = LocalStorage(job.out)
    todo = [cut for cut in job.cuts if not store.exists(f"lq/{cut.name}.png")]
    if not todo:
        return 0
    photo_u8 = codec.decode(job.photo.read_bytes(), limits=codec.STORED).image_u8
    for cut in todo:
        side = job.plan.side_px
        hq_u8 = np.ascontiguousarray(photo_u8[cut.top : cut.top + side, cut.left : cut.left + side])
        store.put(f"hq/{cut.name}.png", codec.encode_png(hq_u8))
        store.put(f"lq/{cut.name}.png", codec.encode_png(_lq(job, cut, hq_u8, photo_u8.shape[:2])))
    return len(todo)


def _lq(job: _Job, cut: Cut, hq_u8: codec.Image, size_px: tuple[int, ...]) -> codec.Image:
    if job.plan.name == "lsdir-val":
        settings = recipe.preset(TRAINING_PRESET).model_copy(update={"crop_px": None, "flip_share": 0.0})
        return recipe.apply(hq_u8, recipe.draw(job.plan.seed, cut.name, 0, settings))[1]
    made = job.lq[cut.degradation]
    path = made[(cut.top + cut.left) // SHRINK % len(made)]  # `wild` may have several of one photo
    lq_u8 = codec.decode(path.read_bytes(), limits=codec.STORED).image_u8
    wanted = tuple(side // SHRINK for side in size_px)
    if any(abs(side - asked) > 1 for side, asked in zip(lq_u8.shape[:2], wanted, strict=True)):
        raise SourceError(
            f"Expected {path} to be a quarter of {job.photo.name}, {wanted[1]}x{wanted[0]} px, it has "
            f"{lq_u8.shape[1]}x{lq_u8.shape[0]}. Take the x4 track."
        )
    side, top, left = job.plan.side_px // SHRINK, cut.top // SHRINK, cut.left // SHRINK
    return np.ascontiguousarray(lq_u8[top : top + side, left : left + side])


def _drawn(plan: Plan, number: int, sizes: Mapping[str, tuple[int, int]]) -> Cut:
    """Draw one crop from its number alone, of photos in the order of their names; crops lie on the grid of the shrunk picture."""
    rng = np.random.default_rng([plan.seed, number])
    photo = list(sizes)[int(rng.integers(len(sizes)))]
    top, left = (int(rng.integers((side - plan.side_px) // SHRINK + 1)) * SHRINK for side in sizes[photo])
    kinds = list(DEGRADATIONS)
    degradation = kinds[number % len(kinds)] if plan.name == "div2k-val" else TRAINING_PRESET
    return Cut(name=f"{number:04d}-{photo}-{degradation}", degradation=degradation, photo=photo, top=top, left=left)


def _claim(store: LocalStorage, plan: Plan, cuts: Sequence[Cut]) -> None:
    """Refuse to mix two plans in one folder."""
    mark, digest = ".plan", content_hash(plan, *cuts).encode()
    if store.exists(mark) and store.read(mark) != digest:
        raise SourceError(f"{store.root} holds crops of another plan or another copy of the source. Give an empty folder.")
    store.put(mark, digest)


def _photos(source: Path) -> dict[str, Path]:
    """Photos of a folder and the folders in it, by their path."""
    if not source.is_dir():
        raise SourceError(f"Expected a folder of photos, there is none at {source}.")
    paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise SourceError(f"Expected photos ({', '.join(SUFFIXES)}) in {source}, found none.")
    return {path.relative_to(source).with_suffix("").as_posix().replace("/", "-"): path for path in paths}


def _div2k(source: Path) -> tuple[dict[str, Path], dict[str, dict[str, list[Path]]]]:
    """HQ by name, and for each degradation what it made of each."""
    photos = pictures(_needed(source, DIV2K_HQ))
    made: dict[str, dict[str, list[Path]]] = {}
    for kind, names in DEGRADATIONS.items():
        folder = _needed(source, names)
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
        made[kind] = {name: [path for path in files if path.stem.startswith(f"{name}x4")] for name in photos}
        if lost := [name for name, paths in made[kind].items() if not paths]:
            raise SourceError(
                f"Expected {lost[0]}x4*.png in {folder}, found none ({len(lost)} photos lack theirs). Unpack it again."
            )
    return photos, made


def _needed(source: Path, names: Sequence[str]) -> Path:
    found = next((source / name for name in names if (source / name).is_dir()), None)
    if found is None:
        raise SourceError(f"Expected the folder {' or '.join(names)} in {source}, found none. Unpack DIV2K's archive there.")
    return found
