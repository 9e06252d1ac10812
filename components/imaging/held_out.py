"""The held-out pictures of a curation: which there are, and their pixels."""

from __future__ import annotations

from dataclasses import dataclass

from components.backends import manifest
from components.backends.storage import Storage
from components.errors import SourceError
from components.imaging import codec
from components.records import Manifest

SIDE_PX = 192
"""Shortest side of a picture that is judged."""


@dataclass(frozen=True)
class HeldOut:
    """One picture of the test side."""

    id: str
    shard: str
    offset: int
    length: int


def find(store: Storage, curated: Manifest, count: int, *, last: bool = False) -> list[HeldOut]:
    """Pictures of scenes that no training sees.

    Args:
        store: holds the manifest.
        curated: the image manifest of a curation.
        count: at most so many.
        last: take the last by id, in reverse; else the first. Two users of few each then share none.

    Raises:
        SourceError: there is none.
    """
    sql = (
        "select id, shard, \"offset\", length from rows where verdict = 'kept' and split = 'test' "
        f"and least(width_px, height_px) >= {SIDE_PX} order by id"
    )
    rows = manifest.query(store, curated, f"{sql} desc" if last else sql)
    if not rows:
        raise SourceError(
            f"Expected held-out pictures of at least {SIDE_PX} px a side, the dataset keeps none. Give larger photos."
        )
    return [HeldOut(**row) for row in rows[:count]]


def load(store: Storage, image: HeldOut, crop_px: int) -> codec.Image:
    """The middle of a picture, (H, W, 3) uint8."""
    data = store.read_range(image.shard, image.offset, image.length)
    return centre_crop(codec.decode(data, limits=codec.STORED).image_u8, crop_px)


def centre_crop(image_u8: codec.Image, side_px: int) -> codec.Image:
    """Cut the middle; a shorter side is kept whole."""
    height, width = image_u8.shape[:2]
    top, left = max(0, height - side_px) // 2, max(0, width - side_px) // 2
    return image_u8[top : top + side_px, left : left + side_px]
