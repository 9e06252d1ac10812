"""A sample of many rows: those whose ids have the smallest hashes.

It is a uniform draw that depends on neither order nor number of workers, that two samples merge to, and that a repeated
picture changes once.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from components.errors import StorageError

Row = Mapping[str, float | None]
"""Statistics of one picture; None and NaN where it has none."""
FORM = 1


@dataclass(frozen=True)
class Sample:
    """Some rows of many, drawn by the hash of their ids."""

    pictures: int
    """All that were measured."""
    rows: Mapping[str, Row]
    """Statistics by id, in the order of the ids' hashes."""

    @property
    def statistics(self) -> list[str]:
        """Names of all columns."""
        return list(dict.fromkeys(name for row in self.rows.values() for name in row))

    def values(self, statistic: str) -> dict[str, float]:
        """Id and value of the rows that have a finite one."""
        found = ((image_id, row.get(statistic)) for image_id, row in self.rows.items())
        return {image_id: float(value) for image_id, value in found if value is not None and math.isfinite(value)}

    def pack(self) -> bytes:
        """Give the JSON that `unpack` reads; what is not finite is null."""
        names = self.statistics
        rows = [[image_id, *(_written(row.get(name)) for name in names)] for image_id, row in self.rows.items()]
        return json.dumps({"form": FORM, "pictures": self.pictures, "statistics": names, "rows": rows}).encode()

    @classmethod
    def unpack(cls, data: bytes) -> Sample:
        """Read what `pack` wrote; raises StorageError for anything else."""
        try:
            found = json.loads(data)
            if found["form"] != FORM:
                raise ValueError(f"form {found['form']}")
            rows = {image_id: dict(zip(found["statistics"], values, strict=True)) for image_id, *values in found["rows"]}
            return cls(int(found["pictures"]), rows)
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(f"Expected the sample of a batch, form {FORM}: {error!r}. Measure the batch again.") from error


def _written(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def sample(rows: Iterable[tuple[str, Row]], most: int) -> Sample:
    """Draw a sample from a stream; no more than twice `most` rows are in memory.

    Args:
        rows: id and statistics of each picture.
        most: rows that are kept.
    """
    pictures = 0

    def counted() -> Iterator[tuple[str, Row]]:
        nonlocal pictures
        for one in rows:
            pictures += 1
            yield one

    drawn = _drawn(counted(), most)
    return Sample(pictures, drawn)


def merged(samples: Iterable[Sample], most: int) -> Sample:
    """Draw one sample from several, as if their pictures had come in one stream.

    Args:
        samples: of the shards of a batch, or of several batches.
        most: rows that are kept; not more than each of the samples was allowed.
    """
    listed = list(samples)
    drawn = _drawn((one for each in listed for one in each.rows.items()), most)
    return Sample(sum(each.pictures for each in listed), drawn)


def _drawn(rows: Iterable[tuple[str, Row]], most: int) -> dict[str, Row]:
    """Keep the rows with the smallest hashes of their ids, in that order; the last of rows with one id stays."""
    kept: dict[str, Row] = {}
    for image_id, row in rows:
        kept[image_id] = row
        if len(kept) >= 2 * most:
            kept = {one: kept[one] for one in heapq.nsmallest(most, kept, key=_hash)}
    return {one: kept[one] for one in heapq.nsmallest(most, kept, key=_hash)}


def _hash(image_id: str) -> bytes:
    return hashlib.sha256(f"drift {image_id}".encode()).digest()
