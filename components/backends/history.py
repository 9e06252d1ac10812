"""What a store knows of its datasets: versions, what was curated of them, and the settings behind a hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.backends import catalog
from components.backends.storage import LocalStorage, Storage
from components.backends.versioning import CURATED, TABLE
from components.errors import ManifestError
from components.records import (
    Curation,
    DatasetVersion,
    Manifest,
    Record,
    canonical_json,
    content_hash,
)

SHORT = 12
"""Characters of a hash that people see."""
FEWEST = 4
"""Characters of a hash that name something."""


class Entry(Record):
    """What people mean by a version of a dataset: pictures as they were ingested, or what curation decided of them."""

    version: DatasetVersion
    curation: Curation | None = None
    saved: float = 0.0
    """Time of the record's file, seconds since 1970; for ordering and for people."""

    @property
    def manifest(self) -> Manifest:
        """The rows that the entry is about."""
        return self.curation.manifest if self.curation else self.version.curated or self.version.manifest

    @property
    def decided(self) -> bool:
        """Say whether the rows carry the verdicts of curation."""
        return self.manifest != self.version.manifest

    @property
    def pinned(self) -> bool:
        """Say whether DVC holds these rows, and not only those that they were made from."""
        return self.manifest in (self.version.manifest, self.version.curated)

    @property
    def names(self) -> tuple[str, ...]:
        """Hashes that name the entry: of its rows and, when DVC holds them, of the version."""
        return (self.manifest.sha256, self.version.dvc_md5) if self.pinned else (self.manifest.sha256,)


def entries(store: Storage) -> list[Entry]:
    """Give every version and curation, the last saved one last."""
    versions, curations = catalog.every(store, DatasetVersion), catalog.every(store, Curation)
    pinned = {version.curated.sha256: version for version, _ in versions if version.curated}
    decided = {made.manifest.sha256 for made, _ in curations}
    found = [
        Entry(version=pinned.get(made.manifest.sha256, made.dataset), curation=made, saved=saved) for made, saved in curations
    ]
    found += [
        Entry(version=version, saved=saved)
        for version, saved in versions
        if version.curated is None or version.curated.sha256 not in decided
    ]
    return sorted(found, key=lambda entry: (entry.saved, entry.decided))


def find(store: Storage, name: str) -> Entry:
    """Find a version or curation by the beginning of a hash.

    Args:
        store: whose records are searched.
        name: beginning of the hash of a version, an image manifest or a curated manifest, or `latest`.

    Raises:
        ManifestError: nothing or more than one thing has that name; says what there is.
    """
    known = entries(store)
    if name == "latest" and known:
        return known[-1]
    if not known:
        raise ManifestError("There is no dataset version in this home yet. Make one: lucidflux ingest DIR")
    long_enough = len(name) >= FEWEST
    matches = [entry for entry in known if long_enough and any(hashed.startswith(name) for hashed in entry.names)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ManifestError(f"'{name}' names {len(matches)} versions: {_short(matches)}. Give more of the hash.")
    least = "" if long_enough else f" Give {FEWEST} characters or more."
    raise ManifestError(
        f"There is no dataset version '{name}'.{least} Known, newest first: {_short(known[::-1][:8])}; or latest."
    )


def _short(known: Sequence[Entry]) -> str:
    return ", ".join(f"{entry.manifest.sha256[:SHORT]} ({entry.version.name})" for entry in known)


def adopt(store: Storage, entry: Entry, pulled: Path) -> int:
    """Take a version that was pulled into a folder into a store, so that stages find it there.

    Args:
        store: receives manifests, shards and records.
        entry: what was pulled.
        pulled: folder with `images.parquet`, `curated.parquet` if there is one, and `shards/`.

    Returns:
        How many files were not there yet.
    """
    version = entry.version
    files = {key: pulled / key for key in LocalStorage(pulled).list("shards/")}
    files[version.manifest.uri] = pulled / TABLE
    if version.curated:
        files[version.curated.uri] = pulled / CURATED
    absent = [key for key in files if not store.exists(key)]
    for key in absent:
        store.put_file(key, files[key])
    catalog.save(store, version)
    if entry.curation:
        catalog.save(store, entry.curation.dataset)
        catalog.save(store, entry.curation)
    return len(absent)


def remember_settings(store: Storage, *values: Any) -> str:
    """Keep settings where `recall_settings` finds them, and give their hash, which is `content_hash` of the values.

    Args:
        store: receives `settings/<hash>.jsonl`, one value a line; the hash of the file is its name.
        values: what a manifest's `settings` is made from: the operator's name, then settings.
    """
    digest = content_hash(*values)
    key = _settings_key(digest)
    if not store.exists(key):
        store.put(key, "\n".join(canonical_json(value) for value in values).encode())
    return digest


def recall_settings(store: Storage, digest: str) -> dict[str, Any]:
    """Give the settings behind a hash, with the operator's name as `operator`; empty when they were not kept.

    Raises:
        ManifestError: the file was changed.
    """
    if not digest or not store.exists(_settings_key(digest)):
        return {}
    data = store.read(_settings_key(digest))
    if hashlib.sha256(data).hexdigest() != digest:
        raise ManifestError(f"The settings {digest[:SHORT]} were changed in the store; delete {_settings_key(digest)}.")
    known: dict[str, Any] = {}
    for value in map(json.loads, data.decode().split("\n")):
        known |= value if isinstance(value, dict) else {"operator": value}
    return known


def _settings_key(digest: str) -> str:
    return f"settings/{digest}.jsonl"
