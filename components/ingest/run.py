"""Ingest: pictures of any source -> tar shards and one image manifest, one verdict per picture.

A picture that decodes is `kept` so far; one with the bytes of an earlier picture is `rejected`
(`duplicate_bytes`); one that cannot be read or decoded is `failed` with the decoder's reason. Only the
bytes of pictures that decode are stored, as they came.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from components.backends import manifest
from components.backends.engine import map_shards, survives
from components.backends.shards import write_shard
from components.backends.storage import open_storage
from components.errors import DecodeError, SourceError
from components.imaging import codec, phash
from components.ingest.settings import IngestSettings
from components.ingest.source import Entry, Source
from components.ingest.sources import open_source
from components.records import Manifest, Progress, content_hash, quiet

Row = dict[str, Any]

OPERATOR = "ingest-1"


@dataclass(frozen=True)
class ShardJob:
    """Entries of one source that become one shard."""

    objects: str
    source: Source
    entries: tuple[Entry, ...]
    limits: codec.Limits
    crashed: frozenset[str] = frozenset()
    """Origins that are known to kill the decoder; they are not decoded again."""


def fingerprint(addresses: Sequence[str], settings: IngestSettings) -> str:
    """Name the present content of the sources without reading the pictures.

    Raises:
        SourceError: a source is missing, unreadable or empty.
    """
    listed = [[source.name, [list(entry) for entry in source.entries()]] for source in _open(addresses, settings)]
    return content_hash(OPERATOR, settings, listed)


def ingest(
    addresses: Sequence[str], settings: IngestSettings, *, objects: str, workers: int = 1, progress: Progress = quiet
) -> Manifest:
    """Store every picture that decodes and give every listed picture a row.

    Args:
        addresses: `packaged:`, `folder:PATH` or plain paths.
        settings: shard size and limits.
        objects: root of the object store.
        workers: processes that read and decode.
        progress: called after each shard.

    Raises:
        SourceError: a source is missing, unreadable or empty, or no picture of any decodes.
    """
    limits = codec.Limits(max_pixels=settings.max_pixels, max_bytes=settings.max_bytes)
    jobs = [
        ShardJob(objects, source, group, limits)
        for source in _open(addresses, settings)
        for group in _groups(source.entries(), settings.shard_bytes)
    ]
    listed = map_shards(ingest_shard, jobs, workers=workers, phase="ingest", progress=progress, on_crash=_spare)
    rows = _mark_duplicates([row for group in listed for row in group])
    if not any(row["verdict"] == "kept" for row in rows):
        reasons = sorted({row["reason"] for row in rows})
        raise SourceError(
            f"Expected photos in {', '.join(addresses)}; none of the {len(rows)} files there can be decoded "
            f"(reasons: {', '.join(reasons)}). Give a folder with JPEG, PNG, WebP or TIFF photos."
        )
    return manifest.write(open_storage(objects), "images", rows, settings=content_hash(settings))


def ingest_shard(job: ShardJob) -> list[Row]:
    """Read, decode and store the pictures of one job; give one row each."""
    rows: list[Row] = []
    members: list[tuple[str, bytes]] = []
    stored: list[int] = []
    for entry in job.entries:
        row, data = _row(job, entry)
        if data is not None:
            stored.append(len(rows))
            members.append((f"{row['id']}.{row['format']}", data))
        rows.append(row)
    placed = write_shard(open_storage(job.objects), members)
    for index, place in zip(stored, placed, strict=True):
        rows[index].update(place._asdict())
    return rows


def _open(addresses: Sequence[str], settings: IngestSettings) -> list[Source]:
    sources = [open_source(address, settings) for address in addresses]
    names = [source.name for source in sources]
    if not names or len(set(names)) != len(names):
        raise SourceError(f"Expected one or more sources with different names, got: {', '.join(names) or 'none'}.")
    return sources


def _groups(entries: Sequence[Entry], shard_bytes: int) -> list[tuple[Entry, ...]]:
    """Cut a sorted list where the bytes reach the size of a shard."""
    groups: list[tuple[Entry, ...]] = []
    group: list[Entry] = []
    size = 0
    for entry in entries:
        if group and size + entry.bytes > shard_bytes:
            groups.append(tuple(group))
            group, size = [], 0
        group.append(entry)
        size += entry.bytes
    return [*groups, tuple(group)] if group else groups


def _row(job: ShardJob, entry: Entry) -> tuple[Row, bytes | None]:
    """One picture's row, and its bytes when it decodes."""
    row: Row = {
        "id": "",
        "origin": f"{job.source.name}/{entry.origin}",
        "scene": entry.scene,
        "source": job.source.name,
        "licence": job.source.licence(entry.origin),
        "bytes": entry.bytes,
        "verdict": "failed",
    }
    try:
        data = job.source.read(entry.origin)
        row |= {"id": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        if entry.origin in job.crashed:
            raise DecodeError("decoder_crashed", entry.origin)
        picture = codec.decode(data, limits=job.limits)
    except DecodeError as error:
        return row | {"reason": error.reason}, None
    row |= {
        "width_px": picture.width_px,
        "height_px": picture.height_px,
        "format": picture.format,
        "phash": phash.phash(picture.image_u8),
        "verdict": "kept",
        "reason": "",
    }
    return row, data


def _spare(job: ShardJob) -> list[Row]:
    """Find the pictures that kill the decoder and make the shard without them."""
    crashed = [entry.origin for entry in job.entries if not survives(partial(_decode_one, job), entry)]
    return ingest_shard(replace(job, crashed=frozenset(crashed)))


def _decode_one(job: ShardJob, entry: Entry) -> None:
    try:
        codec.decode(job.source.read(entry.origin), limits=job.limits)
    except DecodeError:
        return


def _mark_duplicates(rows: list[Row]) -> list[Row]:
    """Reject pictures whose bytes came earlier, in the order of their origins."""
    seen: set[str] = set()
    marked = []
    for row in sorted(rows, key=lambda row: row["origin"]):
        kept = row["verdict"] == "kept"
        again = kept and row["id"] in seen
        if kept:
            seen.add(row["id"])
        marked.append(row | {"verdict": "rejected", "reason": "duplicate_bytes"} if again else row)
    return marked
