"""Quality of what passed, by one no-reference metric; a picture is never scored twice with the same operator.

Scores lie in parts of one shard's new pictures each, below the name of everything that they depend on. A killed run loses
the shard it was at; moved thresholds, other collections and later versions find what was scored before.
"""

from __future__ import annotations

import itertools
import logging
import math
import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from components.backends import manifest
from components.backends.engine import map_shards
from components.backends.shards import read_spans
from components.backends.storage import Storage, open_storage
from components.backends.tables import Tables
from components.errors import DecodeError, SettingsError
from components.imaging import codec, iqa
from components.records import Progress, content_hash, quiet

log = logging.getLogger(__name__)

_UNSCORED = "from passed anti join known using (id)"
_JOBS = f'select shard, id, "offset", length {_UNSCORED} order by shard, "offset", id'
_QUALITY = """create or replace table quality as
select id, min(value) as value from known semi join passed using (id) group by id"""


@dataclass(frozen=True)
class QualityJob:
    """Pictures of one shard without a score."""

    objects: str
    shard: str
    spans: tuple[tuple[str, int, int], ...]
    """(id, offset, length) of each picture, by offset."""
    metric: str
    operator: str
    """Name of everything that the scores depend on."""
    weights: Path | None

    @property
    def key(self) -> str:
        """Part that says that this job is done."""
        return key(self.operator, self.shard, content_hash([image_id for image_id, _, _ in self.spans])[:16])


def key(named: str, shard: str, part: str) -> str:
    """Where scores of pictures of a shard lie; `named` is `iqa.operator`."""
    return f"scores/{named}/{shard.rpartition('/')[2].removesuffix('.tar')}/{part}.parquet"


def score_quality(
    tables: Tables,
    store: Storage,
    metric: str,
    *,
    weights_folder: Path | None = None,
    workers: int = 1,
    engine: str = "",
    progress: Progress = quiet,
) -> None:
    """Make the table `quality(id, value)` of every picture of `passed(id, shard, "offset", "length")`.

    A value is null where the metric has none for a picture, or where the picture does not decode.

    Args:
        tables: session with `passed`.
        store: has the shards, keeps the scores.
        metric: name in METRICS of one that looks at one picture.
        weights_folder: third-party weights, for metrics that need some.
        workers: processes that decode and score.
        engine: address of a cluster; empty for local processes.
        progress: called after each shard with new pictures.

    Raises:
        UnknownName: there is no such metric.
        WeightsError: its weights are not there.
    """
    named = iqa.operator(metric, weights_folder)
    keys = list(store.list(f"scores/{named}/"))
    tables.parts("known", "quality", keys)
    shards = int(tables.one(f"select count(distinct shard) as n {_UNSCORED}")["n"])
    if shards:
        jobs = _jobs(tables, QualityJob(store.root, "", (), metric, named, weights_folder))
        keys += map_shards(score_shard, jobs, workers=workers, address=engine, total=shards, phase="quality", progress=progress)
        tables.parts("known", "quality", keys)
    tables.run(_QUALITY)


def _jobs(tables: Tables, alike: QualityJob) -> Iterator[QualityJob]:
    """Group the new pictures by shard, lazily."""
    for shard, group in itertools.groupby(tables.tuples(_JOBS), key=operator.itemgetter(0)):
        spans = tuple((image_id, offset, length) for _, image_id, offset, length in group)
        yield QualityJob(alike.objects, shard, spans, alike.metric, alike.operator, alike.weights)


def score_shard(job: QualityJob) -> str:
    """Score the pictures of one job and give the key of their part.

    Raises:
        SettingsError: this machine has another device or other library versions than the one that gave the job.
    """
    here = iqa.operator(job.metric, job.weights)
    if here != job.operator:
        raise SettingsError(
            f"Expected scores of {job.operator}, this machine gives {here}. Use machines of one kind, with one lock installed."
        )
    store = open_storage(job.objects)
    contents = read_spans(store, job.shard, [(offset, length) for _, offset, length in job.spans])
    ids = [image_id for image_id, _, _ in job.spans]
    values = iqa.stream(job.metric, _decoded(ids, contents), weights=job.weights)
    rows = [{"id": image_id, "value": None if math.isnan(value) else value} for image_id, value in zip(ids, values, strict=True)]
    return manifest.write_part(store, job.key, "quality", rows)


def _decoded(ids: Iterable[str], contents: Iterable[bytes]) -> Iterator[codec.Image | None]:
    """Decode one picture after the other; None for one that does not decode."""
    for image_id, data in zip(ids, contents, strict=True):
        try:
            yield codec.decode(data, limits=codec.STORED).image_u8
        except DecodeError as error:
            log.warning("No quality for %s: %s", image_id, error)
            yield None
