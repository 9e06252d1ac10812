"""The pairs of some pictures: their recipes as rows of a part and, where asked for, their pixels as a tar shard.

A shard is named by its content and written before its rows, so that a killed job leaves at most a shard that the same job
finds again.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from components.backends import manifest
from components.backends.shards import write_shard
from components.backends.storage import Storage, open_storage
from components.errors import ManifestError, StorageError
from components.imaging import codec
from components.imaging.degrade import recipe, versions
from components.imaging.degrade.presets import DegradeSettings
from components.records import canonical_json, content_hash

OPERATOR = "synthesize-3"
RECIPE_PICTURES = 4096
"""Pictures of one job that draws recipes alone."""
PICTURES = 'select id, shard, "offset", length from pictures order by id'
"""Rows that `jobs` groups; an id is a hash of the bytes, so their order is as good as a shuffled one."""

Row = dict[str, Any]


class Picture(NamedTuple):
    """Where the bytes of an HQ picture lie."""

    id: str
    shard: str
    offset: int
    length: int


@dataclass(frozen=True)
class PairJob:
    """Some pictures in some epochs."""

    objects: str
    degradation: DegradeSettings
    seed: int
    epochs: tuple[int, ...]
    pictures: tuple[Picture, ...]
    pixels: bool
    """Write a shard of the pixels beside the rows."""

    @cached_property
    def key(self) -> str:
        """Part that says that this job is done."""
        drawn = [recipe.OPERATOR, versions.stamp(), self.degradation.model_dump(mode="json"), self.seed, self.epochs]
        return f"parts/pairs/{content_hash(OPERATOR, drawn, self.pictures, self.pixels)}.parquet"


def jobs(whole: PairJob, pictures: Iterable[tuple[Any, ...]], shard_pairs: int) -> Iterator[PairJob]:
    """Cut the pictures into jobs, lazily.

    Args:
        whole: a job with all epochs and no pictures.
        pictures: rows of PICTURES.
        shard_pairs: pairs of one shard; a shard holds one epoch, so that one picture's pairs are far apart.
    """
    size = shard_pairs if whole.pixels else RECIPE_PICTURES
    rows = (Picture(*row) for row in pictures)
    while group := tuple(itertools.islice(rows, size)):
        for epochs in ((epoch,) for epoch in whole.epochs) if whole.pixels else (whole.epochs,):
            yield PairJob(whole.objects, whole.degradation, whole.seed, epochs, group, whole.pixels)


def make_pairs(job: PairJob) -> str:
    """Draw a job's recipes, make their pixels where asked for, and give the key of the rows."""
    store = open_storage(job.objects)
    if store.exists(job.key) and (not job.pixels or _shards_there(store, job.key)):
        return job.key
    rows = [_row(job, picture, epoch) for picture in job.pictures for epoch in job.epochs]
    if job.pixels:
        _write_pixels(store, job.seed, rows)
    return manifest.write_part(store, job.key, "pairs", rows)


def _shards_there(store: Storage, key: str) -> bool:
    return all(store.exists(shard) for shard in {row["pixels"] for row in manifest.read_part(store, key)})


def _row(job: PairJob, picture: Picture, epoch: int) -> Row:
    drawn = recipe.draw(job.seed, picture.id, epoch, job.degradation).pack()
    return {
        "id": content_hash(picture.id, epoch, drawn),
        "hq_id": picture.id,
        "epoch": epoch,
        "seed": job.seed,
        "split": "train",
        "recipe": drawn,
        "shard": picture.shard,
        "offset": picture.offset,
        "length": picture.length,
    }


def _write_pixels(store: Storage, seed: int, rows: list[Row]) -> None:
    """Write one shard, a triple `<id>.hq.png`, `<id>.lq.png`, `<id>.json` for each pair, and tell the rows where they are."""

    def members() -> Iterator[tuple[str, bytes]]:
        for row in rows:
            for side, image_u8 in zip(("hq", "lq"), remade(store, row), strict=True):
                yield f"{row['id']}.{side}.png", codec.encode_png(image_u8)
            told = {name: row[name] for name in ("id", "hq_id", "epoch")} | {"seed": seed}
            made = recipe.Recipe.unpack(row["recipe"]).model_dump(mode="json")
            yield f"{row['id']}.json", canonical_json({**told, "recipe": made}).encode()

    placed = iter(write_shard(store, members()))
    for row, hq, lq, _ in zip(rows, placed, placed, placed, strict=True):
        row |= {
            "pixels": hq.shard,
            "hq_offset": hq.offset,
            "hq_length": hq.length,
            "lq_offset": lq.offset,
            "lq_length": lq.length,
        }


def remade(store: Storage, row: Row) -> tuple[codec.Image, codec.Image]:
    """Make the HQ and LQ pictures of a row from its recipe.

    Raises:
        ManifestError: what the image shard holds there is not the picture that the row names.
        SettingsError: the picture is smaller than the crop, or the libraries that are here would make other bytes.
    """
    data = store.read_range(row["shard"], row["offset"], row["length"])
    if hashlib.sha256(data).hexdigest() != row["hq_id"]:
        raise ManifestError(
            f"Expected picture {row['hq_id'][:12]} at {row['offset']} of {row['shard']}, there are other bytes: the shard was "
            "changed. Delete it and ingest again."
        )
    return recipe.apply(codec.decode(data, limits=codec.STORED).image_u8, recipe.Recipe.unpack(row["recipe"]))


def stored(store: Storage, row: Row) -> tuple[codec.Image, codec.Image]:
    """Read the HQ and LQ pictures of a row from the shard that holds their pixels.

    Raises:
        StorageError: the row has no pixels, or the shard is gone or cut.
    """
    if not row.get("pixels"):
        raise StorageError(f"Pair {row['id'][:12]} was made with synthesize.store = recipes: it has no pixels in a shard.")
    hq_u8, lq_u8 = (
        codec.decode(store.read_range(row["pixels"], row[f"{side}_offset"], row[f"{side}_length"]), limits=codec.STORED).image_u8
        for side in ("hq", "lq")
    )
    return hq_u8, lq_u8
