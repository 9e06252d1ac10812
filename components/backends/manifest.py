"""Parquet manifests and parts of them: written atomically, named by content or by what made them.

Rows have a fixed order and hold logical keys only, no times and no machine paths, so the same input and
settings give the same bytes anywhere the lock is installed. A part holds the rows of one shard; its being
there is what says that the shard is done.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.backends.scratch import scratch
from components.backends.storage import Storage, file_sha256
from components.errors import ManifestError, StorageError
from components.records import Manifest, ManifestKind

GROUP_ROWS = 16_384
"""Rows of one Parquet row group."""

_IMAGES = pa.schema(
    [
        ("id", pa.string()),
        ("shard", pa.string()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("origin", pa.string()),
        ("scene", pa.string()),
        ("split", pa.string()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        ("bytes", pa.int64()),
        ("format", pa.string()),
        ("frames", pa.int32()),
        ("source", pa.string()),
        ("url", pa.string()),
        ("licence", pa.string()),
        ("trusted", pa.bool_()),
        ("phash", pa.string()),
        ("blur", pa.float64()),
        ("flat_share", pa.float64()),
        ("quality", pa.float64()),
        ("group", pa.string()),
        ("verdict", pa.string()),
        ("reason", pa.string()),
        ("related", pa.string()),
    ]
)
_PAIRS = pa.schema(
    [
        ("id", pa.string()),
        ("hq_id", pa.string()),
        ("epoch", pa.int32()),
        ("seed", pa.int64()),
        ("split", pa.string()),
        ("recipe", pa.string()),
        ("shard", pa.string()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("pixels", pa.string()),
        ("hq_offset", pa.int64()),
        ("hq_length", pa.int64()),
        ("lq_offset", pa.int64()),
        ("lq_length", pa.int64()),
    ]
)
_SCORES = pa.schema(
    [
        ("image_id", pa.string()),
        ("benchmark", pa.string()),
        ("method", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
    ]
)
_RESTORATIONS = pa.schema(
    [
        ("origin", pa.string()),
        ("id", pa.string()),
        ("output", pa.string()),
        ("output_sha256", pa.string()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        ("model", pa.string()),
        ("settings", pa.string()),
        ("seed", pa.int64()),
        ("verdict", pa.string()),
        ("reason", pa.string()),
        ("review", pa.bool_()),
        ("flags", pa.string()),
    ]
)
_RESTORED = pa.schema(
    [
        *_RESTORATIONS,
        ("input", pa.string()),
        ("reused", pa.bool_()),
        ("seconds", pa.float64()),
        ("tile_px", pa.int32()),
        ("codec_tile_px", pa.int32()),
        ("fidelity", pa.float64()),
        ("scores", pa.string()),
    ]
)
_INPUTS = pa.schema(
    [
        ("root", pa.string()),
        ("key", pa.string()),
        ("origin", pa.string()),
        ("bytes", pa.int64()),
        ("stamp", pa.string()),
        ("offset", pa.int64()),
        ("output", pa.string()),
    ]
)
_LUMA = pa.schema([("id", pa.string()), ("blur", pa.float64()), ("flat_share", pa.float64()), ("print", pa.binary())])
_QUALITY = pa.schema([("id", pa.string()), ("value", pa.float64())])
_GROUPS = pa.schema([("id", pa.string()), ("group", pa.string())])
_LEAKS = pa.schema([("id", pa.string()), ("benchmark", pa.string()), ("benchmark_id", pa.string())])
_DRAWN = pa.schema(
    [("name", pa.string()), ("word", pa.string()), ("n", pa.int64()), ("low", pa.float64()), ("high", pa.float64())]
)
_PARAMETERS = pa.schema(
    [
        ("id", pa.string()),
        ("origin", pa.string()),
        ("n", pa.int64()),
        ("outside", pa.int64()),
        ("sigmas", pa.float64()),
    ]
)
_LOOKS = pa.schema([("id", pa.string()), ("psnr", pa.float64()), ("ssim", pa.float64())])
SCHEMAS: Mapping[str, pa.Schema] = {
    "images": _IMAGES,
    "pairs": _PAIRS,
    "scores": _SCORES,
    "restorations": _RESTORATIONS,
    "restored": _RESTORED,
    "inputs": _INPUTS,
    "luma": _LUMA,
    "quality": _QUALITY,
    "groups": _GROUPS,
    "leaks": _LEAKS,
    "drawn": _DRAWN,
    "parameters": _PARAMETERS,
    "looks": _LOOKS,
}
"""Columns by kind; those after the restorations exist as parts or tables only."""
ORDER: Mapping[str, tuple[str, ...]] = {
    "images": ("origin", "id"),
    "pairs": ("hq_id", "epoch"),
    "scores": ("benchmark", "image_id", "method", "metric"),
    "restorations": ("origin", "id"),
}
"""Columns that fix the order of the rows."""


def write(
    store: Storage,
    kind: ManifestKind,
    rows: Iterable[Mapping[str, Any]],
    *,
    parent: str = "",
    settings: str = "",
) -> Manifest:
    """Write rows as one manifest and give its handle.

    Args:
        store: where the file goes, as `manifests/<kind>/<sha256>.parquet`.
        kind: decides columns and order.
        rows: mappings with the columns of the kind; a missing one is null.
        parent: sha256 of the manifest these rows were made from.
        settings: hash of the settings that made them.

    Raises:
        ManifestError: a row has a column that the kind does not know, or a value of another type.
    """
    sorted_rows = table(kind, rows).sort_by([(name, "ascending") for name in ORDER[kind]])
    return write_batches(store, kind, sorted_rows.to_batches(), parent=parent, settings=settings)


def table(kind: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Make an Arrow table with the columns of a kind; a missing one is null.

    Raises:
        ManifestError: a row has a column that the kind does not know, or a value of another type.
    """
    schema = SCHEMAS[kind]
    listed = [dict(row) for row in rows]
    unknown = {name for row in listed for name in row} - set(schema.names)
    if unknown:
        raise ManifestError(f"Expected the columns of a {kind} manifest, got also: {', '.join(sorted(unknown))}.")
    try:
        return pa.Table.from_pylist(listed, schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ManifestError(f"A value does not fit its column in a {kind} manifest: {error}.") from error


def write_batches(
    store: Storage, kind: ManifestKind, batches: Iterable[pa.RecordBatch], *, parent: str = "", settings: str = ""
) -> Manifest:
    """Write rows that come in their final order; the bytes do not depend on how they are batched."""
    count = 0
    with scratch("manifest") as folder:
        path = folder / "rows.parquet"
        with pq.ParquetWriter(path, SCHEMAS[kind], compression="zstd", store_schema=True) as writer:
            for group in _regrouped(batches, SCHEMAS[kind]):
                writer.write_table(group, row_group_size=GROUP_ROWS)
                count += group.num_rows
        digest = file_sha256(path)
        uri = f"manifests/{kind}/{digest}.parquet"
        if not store.exists(uri):
            store.put_file(uri, path)
    return Manifest(kind=kind, uri=uri, sha256=digest, rows=count, parent=parent, settings=settings)


def _regrouped(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Cut batches of any size into groups of GROUP_ROWS."""
    waiting = schema.empty_table()
    for batch in batches:
        waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch]).cast(schema)])
        while waiting.num_rows >= GROUP_ROWS:
            yield waiting.slice(0, GROUP_ROWS).combine_chunks()
            waiting = waiting.slice(GROUP_ROWS)
    if waiting.num_rows:
        yield waiting.combine_chunks()


def write_part(store: Storage, key: str, kind: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """Write the rows of one shard and give the key back; whoever sees the key sees all rows.

    Raises:
        ManifestError: a row does not fit the kind.
        StorageError: the store refuses.
    """
    return put_part(store, key, table(kind, rows))


def put_part(store: Storage, key: str, rows: pa.Table) -> str:
    """Write an Arrow table as a part."""
    buffer = io.BytesIO()
    pq.write_table(rows, buffer, compression="zstd", store_schema=True)
    return store.put(key, buffer.getvalue())


def read_part(store: Storage, key: str) -> list[dict[str, Any]]:
    """Read the rows of one part."""
    listed: list[dict[str, Any]] = from_bytes(store.read(key)).to_pylist()
    return listed


def read(store: Storage, manifest: Manifest) -> pa.Table:
    """Read a manifest and check that its bytes are the ones it names.

    Raises:
        ManifestError: the file is missing or was changed.
    """
    return from_bytes(checked(store, manifest))


def checked(store: Storage, manifest: Manifest) -> bytes:
    """Give the bytes of a manifest after comparing their hash."""
    try:
        data = store.read(manifest.uri)
    except StorageError as error:
        raise _missing(manifest, error) from error
    _compare(manifest, hashlib.sha256(data).hexdigest())
    return data


def checked_path(store: Storage, manifest: Manifest) -> Path:
    """Give a local path of a manifest after comparing its hash; for files that are not read at once.

    Raises:
        ManifestError: the file is missing or was changed.
    """
    try:
        path = store.fetch(manifest.uri)
    except StorageError as error:
        raise _missing(manifest, error) from error
    _compare(manifest, file_sha256(path))
    return path


def _missing(manifest: Manifest, error: StorageError) -> ManifestError:
    return ManifestError(f"The {manifest.kind} manifest {manifest.sha256[:12]} is missing: {error}")


def _compare(manifest: Manifest, found: str) -> None:
    if found != manifest.sha256:
        raise ManifestError(
            f"Expected the {manifest.kind} manifest {manifest.sha256[:12]}, the file hashes to {found[:12]}: "
            "it was changed. Delete it and run the stage again."
        )


def from_bytes(data: bytes) -> pa.Table:
    """Read the rows of a Parquet file held in memory."""
    return pq.read_table(io.BytesIO(data))


def rows(store: Storage, manifest: Manifest) -> list[dict[str, Any]]:
    """Read a manifest as one mapping per row."""
    listed: list[dict[str, Any]] = read(store, manifest).to_pylist()
    return listed


def query(store: Storage, manifest: Manifest, sql: str) -> list[dict[str, Any]]:
    """Run SQL over the rows, which the statement calls `rows`.

    Args:
        store: where the manifest lives.
        manifest: what to query.
        sql: for example `select verdict, count(*) as n from rows group by verdict`.
    """
    from components.backends.tables import Tables

    with Tables(store) as tables:
        tables.manifest("rows", manifest)
        return tables.rows(sql)
