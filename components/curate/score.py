"""Scores of the pictures of one shard from one decode of their luma: blur, flat share, and the print for duplicates.

No score drops anything. A shard's scores are a part, so that a killed run and a moved threshold measure nothing again.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from components.backends import manifest
from components.backends.shards import read_spans
from components.backends.storage import open_storage
from components.errors import DecodeError
from components.imaging import codec, prints, sharpness
from components.records import content_hash

Row = dict[str, Any]

OPERATOR = f"luma-{content_hash(sharpness.OPERATOR, prints.OPERATOR)[:12]}"
JOBS = 'select shard, id, "offset", length from images where verdict = \'kept\' order by shard, "offset", id'
"""Rows that `jobs` groups."""


@dataclass(frozen=True)
class LumaJob:
    """Pictures of one shard."""

    objects: str
    shard: str
    spans: tuple[tuple[str, int, int], ...]
    """(id, offset, length) of each picture, by offset."""

    @property
    def key(self) -> str:
        """Part that says that this job is done."""
        return f"scores/{OPERATOR}/{shard_stem(self.shard)}-{content_hash(self.spans)[:16]}.parquet"


def shard_stem(shard: str) -> str:
    """Content hash in a shard's key."""
    return shard.rpartition("/")[2].removesuffix(".tar")


def jobs(objects: str, rows: Iterable[tuple[str, str, int, int]]) -> Iterator[LumaJob]:
    """Group the rows of JOBS, which come shard by shard, lazily."""
    for shard, group in itertools.groupby(rows, key=operator.itemgetter(0)):
        yield LumaJob(objects, shard, tuple((image_id, offset, length) for _, image_id, offset, length in group))


def score_luma(job: LumaJob) -> str:
    """Measure a shard and give the key of its scores; one that was measured before is not read.

    Flat share is null for a picture without a whole patch, everything is for one that does not decode here.
    """
    store = open_storage(job.objects)
    if store.exists(job.key):
        return job.key
    contents = read_spans(store, job.shard, [(offset, length) for _, offset, length in job.spans])
    rows = [{"id": image_id, **measured(data)} for (image_id, _, _), data in zip(job.spans, contents, strict=True)]
    return manifest.write_part(store, job.key, "luma", rows)


def measured(data: bytes) -> Row:
    """Blur, flat share and print of one file; nothing for one that does not decode."""
    try:
        luma_u8 = codec.luma(data, limits=codec.STORED)
    except DecodeError:
        return {}
    blur, flat_share = sharpness.score(luma_u8)
    return {"blur": blur, "flat_share": None if math.isnan(flat_share) else flat_share, "print": prints.fingerprint(luma_u8)}
