"""Parquet manifests: written atomically, named by content, queried by SQL; the home of pyarrow and duckdb.

Rows have a fixed order and hold logical keys only, no times and no machine paths, so the same input and
settings give the same bytes anywhere the lock is installed.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from components.backends.storage import Storage
from components.errors import ManifestError, StorageError
from components.records import Manifest, ManifestKind

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
        ("source", pa.string()),
        ("licence", pa.string()),
        ("phash", pa.string()),
        ("blur", pa.float64()),
        ("flat_share", pa.float64()),
        ("quality", pa.float64()),
        ("verdict", pa.string()),
        ("reason", pa.string()),
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
    ]
)
SCHEMAS: Mapping[str, pa.Schema] = {
    "images": _IMAGES,
    "pairs": _PAIRS,
    "scores": _SCORES,
    "restorations": _RESTORATIONS,
}
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
    schema = SCHEMAS[kind]
    listed = [dict(row) for row in rows]
    unknown = {name for row in listed for name in row} - set(schema.names)
    if unknown:
        raise ManifestError(f"Expected the columns of a {kind} manifest, got also: {', '.join(sorted(unknown))}.")
    try:
        table = pa.Table.from_pylist(listed, schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ManifestError(f"A value does not fit its column in a {kind} manifest: {error}.") from error
    table = table.sort_by([(name, "ascending") for name in ORDER[kind]])
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", store_schema=True)
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    uri = f"manifests/{kind}/{digest}.parquet"
    if not store.exists(uri):
        store.put(uri, data)
    return Manifest(kind=kind, uri=uri, sha256=digest, rows=table.num_rows, parent=parent, settings=settings)


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
        raise ManifestError(f"The {manifest.kind} manifest {manifest.sha256[:12]} is missing: {error}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != manifest.sha256:
        raise ManifestError(
            f"Expected the {manifest.kind} manifest {manifest.sha256[:12]}, the file hashes to {found[:12]}: "
            "it was changed. Delete it and run the stage again."
        )
    return data


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
    with duckdb.connect(":memory:") as connection:
        connection.register("rows", read(store, manifest))
        result: list[dict[str, Any]] = connection.sql(sql).to_arrow_table().to_pylist()
    return result
