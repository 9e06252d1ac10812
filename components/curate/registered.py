"""Registered benchmarks: pictures that no training picture may share content with, known by their prints.

A record says what a name stands for; prints are a part named by the manifest and the operator they were made from.
"""

from __future__ import annotations

import re

from components.backends import manifest as manifests
from components.backends.storage import Storage
from components.backends.tables import Tables
from components.errors import ManifestError, SettingsError
from components.imaging import codec, prints
from components.records import Manifest, Record, canonical_json

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_KEPT = 'select id, shard, "offset", length from images where verdict = \'kept\' order by id, shard, "offset"'


class Benchmark(Record):
    """A set of pictures that models are compared on."""

    name: str
    images: Manifest
    prints: str
    """Key of the part that holds the prints."""
    count: int
    """Pictures that have a print; one without any detail has none and cannot leak."""
    operator: str
    """What made the prints."""


def register(store: Storage, name: str, manifest: Manifest, *, replace: bool = False) -> Benchmark:
    """Keep training clear of the kept pictures of an image manifest from now on.

    The same content under the same name is not read again.

    Args:
        store: holds the manifest and its shards; receives prints and record.
        name: lower-case letters, digits, `.`, `_` and `-`.
        manifest: of the kind `images`.
        replace: let the name stand for other content than before.

    Raises:
        SettingsError: the name cannot be one, or stands for other content.
        ManifestError: the manifest is missing, changed, of another kind or without a kept picture.
    """
    require_name(name)
    if manifest.kind != "images":
        raise ManifestError(f"Expected an image manifest for benchmark '{name}', got a manifest of {manifest.kind}.")
    key = f"benchmarks/{name}.json"
    known = _read(store, key) if store.exists(key) else None
    if known is not None and known.images.sha256 != manifest.sha256 and not replace:
        raise SettingsError(
            f"Benchmark '{name}' stands for manifest {known.images.sha256[:12]}, got {manifest.sha256[:12]}. "
            "Register it under another name, or ask for it to be replaced."
        )
    if known is not None and (known.images.sha256, known.operator) == (manifest.sha256, prints.OPERATOR):
        return known
    part, count = _prints(store, manifest)
    if not count:
        raise ManifestError(f"Expected kept pictures for benchmark '{name}', manifest {manifest.sha256[:12]} has none.")
    record = Benchmark(name=name, images=manifest, prints=part, count=count, operator=prints.OPERATOR)
    store.put(key, canonical_json(record).encode())
    return record


def require_name(name: str) -> None:
    """Refuse what cannot name a benchmark.

    Raises:
        SettingsError: says what a name may hold.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(f"Expected a benchmark's name of lower-case letters, digits, '.', '_' and '-', got '{name}'.")


def registered(store: Storage) -> list[Benchmark]:
    """Give every registered benchmark, by name."""
    return [_read(store, key) for key in store.list("benchmarks/") if key.endswith(".json")]


def fill(tables: Tables, store: Storage) -> None:
    """Make `benchmarks` (benchmark, benchmark_id, print) of every registered benchmark.

    Raises:
        ManifestError: prints of a benchmark were made by another version of the program.
    """
    tables.run("create or replace table benchmarks (benchmark varchar, benchmark_id varchar, print blob)")
    for record in registered(store):
        if record.operator != prints.OPERATOR:
            raise ManifestError(
                f"Expected prints of benchmark '{record.name}' made by {prints.OPERATOR}, got {record.operator}. "
                "Register it again."
            )
        tables.parts("benchmark", "luma", [record.prints])
        tables.run("insert into benchmarks select $name, id, print from benchmark", {"name": record.name})
        tables.run("drop table benchmark")


def _read(store: Storage, key: str) -> Benchmark:
    return Benchmark.model_validate_json(store.read(key))


def _prints(store: Storage, manifest: Manifest) -> tuple[str, int]:
    """Write the prints of the kept rows unless they are there; give their key and how many there are."""
    key = f"parts/prints/{prints.OPERATOR}-{manifest.sha256}.parquet"
    if not store.exists(key):
        with Tables(store) as tables:
            tables.manifest("images", manifest)
            places = {image_id: place for image_id, *place in tables.tuples(_KEPT)}
        rows = [{"id": image_id, "print": _print(store, *place)} for image_id, place in places.items()]
        manifests.write_part(store, key, "luma", rows)
    return key, sum(bool(row["print"]) for row in manifests.read_part(store, key))


def _print(store: Storage, shard: str, offset: int, length: int) -> bytes:
    return prints.fingerprint(codec.luma(store.read_range(shard, offset, length), limits=codec.STORED))
