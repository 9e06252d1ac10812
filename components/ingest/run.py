"""Ingest: pictures of any source -> tar shards and one image manifest, one verdict per picture.

A picture that decodes is `kept` so far; one with the bytes of an earlier picture is `rejected`
(`duplicate_bytes`); one that cannot be read or decoded is `failed` with the source's or the decoder's reason.
Only the bytes of pictures that decode are stored, as they came. A group of entries whose rows are written is
never read again, so a killed run goes on where it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from components.backends import manifest
from components.backends.engine import map_shards
from components.backends.history import remember_settings
from components.backends.shards import write_shards
from components.backends.storage import open_storage
from components.backends.tables import Tables
from components.errors import DecodeError, SourceError
from components.imaging import codec, phash
from components.ingest.poison import poisoned
from components.ingest.settings import IngestSettings
from components.ingest.source import Entry, Fetched, Source
from components.ingest.sources import open_source
from components.records import Manifest, Progress, content_hash, quiet

Row = dict[str, Any]

OPERATOR = "ingest-2"
DECIDES: Mapping[str, Any] = {
    "max_pixels": True,
    "max_bytes": True,
    "decode_seconds": True,
    "shard_bytes": True,
    "urls": {"max_bytes", "max_redirects", "allow_ports", "allow_hosts", "opt_out"},
}
"""Settings that change what becomes of an entry; the others only change how fast."""

_MARKED = """
with placed as (
    select *,
        row_number() over same_bytes as nth,
        first_value(origin) over same_bytes as first_origin
    from listed
    window same_bytes as (partition by id, verdict order by origin)
)
select * exclude (nth, first_origin) replace (
    case when verdict = 'kept' and nth > 1 then 'rejected' else verdict end as verdict,
    case when verdict = 'kept' and nth > 1 then 'duplicate_bytes' else reason end as reason,
    case when verdict = 'kept' and nth > 1 then first_origin else related end as related
)
from placed
"""


@dataclass(frozen=True)
class ShardJob:
    """Entries of one source that become the rows of one part."""

    objects: str
    source: Source
    entries: tuple[Entry, ...]
    settings: IngestSettings
    poisoned: tuple[tuple[str, str], ...] = ()
    """(origin, reason) of entries that are known to kill their process; they are not read again."""

    @property
    def key(self) -> str:
        """Part that says that this job is done."""
        about, decides = self.source.about, decisive(self.settings)
        listed = [list(entry) for entry in self.entries]
        return f"parts/{OPERATOR}/{content_hash(about.name, about.licence, about.trusted, decides, listed)}.parquet"


def fingerprint(addresses: Sequence[str], settings: IngestSettings) -> tuple[str, int]:
    """Name the present content of the sources without reading the pictures, and count them.

    Raises:
        SourceError: a source is missing, unreadable or empty.
    """
    digest, count = hashlib.sha256(content_hash(OPERATOR, decisive(settings)).encode()), 0
    for source in _open(addresses, settings):
        digest.update(content_hash(source.about.name, source.about.licence, source.about.trusted).encode())
        for entry in source.entries():
            digest.update(repr(tuple(entry)).encode())
            count += 1
    return digest.hexdigest(), count


def decisive(settings: IngestSettings) -> dict[str, Any]:
    """The settings that change what becomes of an entry."""
    return settings.model_dump(mode="json", include=dict(DECIDES))


def ingest(
    addresses: Sequence[str],
    settings: IngestSettings,
    *,
    objects: str,
    workers: int = 1,
    engine: str = "",
    total: int = 0,
    progress: Progress = quiet,
) -> Manifest:
    """Store every picture that decodes and give every listed picture a row.

    Args:
        addresses: sources as `KIND:WHERE?options` or plain paths.
        settings: shard size and limits.
        objects: root of the object store.
        workers: processes that read and decode.
        engine: address of a cluster; empty for local processes.
        total: number of pictures, where it is known; for the progress.
        progress: called after each group of entries.

    Raises:
        SourceError: a source is missing, unreadable or empty, or no picture of any decodes.
    """
    jobs = (
        ShardJob(objects, source, group, settings)
        for source in _open(addresses, settings)
        for group in _groups(source.entries(), settings)
    )
    counted = _Counted(jobs, total, progress)
    keys = map_shards(
        ingest_shard, counted, workers=workers, address=engine, phase="ingest", progress=counted.report, on_crash=_spare
    )
    store = open_storage(objects)
    with Tables(store) as tables:
        tables.parts("listed", "images", keys)
        _require_some(tables, addresses)
        return tables.write("images", _MARKED, settings=remember_settings(store, OPERATOR, decisive(settings)))


def ingest_shard(job: ShardJob) -> str:
    """Read, decode and store the pictures of one job; give the key of its rows."""
    store = open_storage(job.objects)
    if store.exists(job.key):
        return job.key
    rows: list[Row] = []
    stored: list[Row] = []

    def members() -> Iterator[tuple[str, bytes]]:
        for fetched in _read(job):
            row = _row(job, fetched)
            rows.append(row)
            if row["verdict"] == "kept" and fetched.data is not None:
                stored.append(row)
                yield f"{row['id']}.{row['format']}", fetched.data

    placed = write_shards(store, members(), most_bytes=job.settings.shard_bytes)
    for row, place in zip(stored, placed, strict=True):
        row.update(place._asdict())
    return manifest.write_part(store, job.key, "images", rows)


def _read(job: ShardJob) -> Iterator[Fetched]:
    """What became of each entry; a poisoned one is not touched again."""
    reasons = dict(job.poisoned)
    yield from job.source.read([entry for entry in job.entries if entry.origin not in reasons])
    yield from (Fetched(entry, None, reasons[entry.origin]) for entry in job.entries if entry.origin in reasons)


def _open(addresses: Sequence[str], settings: IngestSettings) -> list[Source]:
    sources = [open_source(address, settings) for address in addresses]
    names = [source.about.name for source in sources]
    if not names or len(set(names)) != len(names):
        raise SourceError(
            f"Expected one or more sources with different names, got: {', '.join(names) or 'none'}. "
            "Name them apart, for example photos?name=holiday."
        )
    return sources


def _groups(entries: Iterable[Entry], settings: IngestSettings) -> Iterator[tuple[Entry, ...]]:
    """Cut a list where the bytes or the number of pictures reach the size of a shard."""
    group: list[Entry] = []
    size = 0
    for entry in entries:
        if group and (size + entry.bytes > settings.shard_bytes or len(group) == settings.shard_pictures):
            yield tuple(group)
            group, size = [], 0
        group.append(entry)
        size += entry.bytes
    if group:
        yield tuple(group)


class _Counted:
    """Jobs as they are taken, and progress in pictures instead of jobs."""

    def __init__(self, jobs: Iterable[ShardJob], total: int, progress: Progress) -> None:
        self.jobs, self.total, self.progress = jobs, total, progress
        self.sizes: list[int] = []

    def __iter__(self) -> Iterator[ShardJob]:
        for job in self.jobs:
            self.sizes.append(len(job.entries))
            yield job

    def report(self, phase: str, done: int, _: int) -> None:
        """Take the number of finished jobs; jobs finish nearly in order."""
        self.progress(phase, min(sum(self.sizes[:done]), self.total), self.total)


def _row(job: ShardJob, fetched: Fetched) -> Row:
    """One picture's row."""
    entry, about = fetched.entry, job.source.about
    row: Row = {
        "id": "",
        "origin": f"{about.name}/{entry.origin}",
        "scene": entry.scene,
        "source": about.name,
        "url": entry.url,
        "licence": entry.licence or about.licence,
        "trusted": about.trusted,
        "bytes": entry.bytes,
        "verdict": "failed",
        "reason": fetched.reason,
        "related": "",
    }
    if fetched.data is None:
        return row
    row |= {"id": hashlib.sha256(fetched.data).hexdigest(), "bytes": len(fetched.data)}
    try:
        picture = decode(fetched.data, job.settings)
    except DecodeError as error:
        return row | {"reason": error.reason}
    return row | {
        "width_px": picture.width_px,
        "height_px": picture.height_px,
        "format": picture.format,
        "frames": picture.frames,
        "phash": phash.phash(picture.image_u8),
        "verdict": "kept",
        "reason": "",
    }


def decode(data: bytes, settings: IngestSettings) -> codec.Picture:
    """Decode within the limits of the settings; in a worker process also within its time.

    Raises:
        DecodeError: with one of the codec's reasons.
    """
    with codec.time_limit(settings.decode_seconds):
        return codec.decode(data, limits=codec.Limits(max_pixels=settings.max_pixels, max_bytes=settings.max_bytes))


def _decode_all(job: ShardJob) -> None:
    """Decode and store nothing; to see whether the process lives."""
    for fetched in job.source.read(job.entries):
        if fetched.data is not None:
            _row(job, fetched)


def _spare(job: ShardJob) -> str:
    """Make a job that killed its process twice without the pictures that do it."""
    found = poisoned(lambda entries: (_decode_all, replace(job, entries=entries)), job.entries)
    spared = replace(job, poisoned=tuple((entry.origin, reason) for entry, reason in found))
    return map_shards(ingest_shard, [spared], workers=1, on_crash=_give_up)[0]


def _give_up(job: ShardJob) -> str:
    raise SourceError(
        f"A worker died three times over {len(job.entries)} pictures from '{job.entries[0].origin}' on, and no single one of "
        "them does it. Is there enough memory for backend.workers processes? Run the same command again: it goes on from here."
    )


def _require_some(tables: Tables, addresses: Sequence[str]) -> None:
    found = tables.one("select count(*) as n, count(*) filter (verdict = 'kept') as kept from listed")
    if not found["kept"]:
        reasons = [row["reason"] for row in tables.rows("select distinct reason from listed order by reason")]
        raise SourceError(
            f"Expected photos in {', '.join(addresses)}; none of the {found['n']} files there can be decoded "
            f"(reasons: {', '.join(reasons)}). Give a folder with JPEG, PNG, WebP or TIFF photos."
        )
