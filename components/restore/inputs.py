"""Which files a restoration is asked for: folders, files, globs, S3 prefixes, lists of addresses, manifests of ours."""

from __future__ import annotations

import csv
import glob
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from components.backends import catalog
from components.backends.storage import LocalStorage, Storage, open_storage
from components.backends.tables import Tables
from components.errors import ManifestError, SourceError, StorageError
from components.records import Curation, DatasetVersion, Manifest

LISTS = (".txt", ".csv", ".jsonl")
"""Suffixes of lists of addresses."""
_COLUMNS = ("address", "uri", "url", "path", "file")
"""Names under which a CSV or JSONL file may hold addresses; the first one that is there counts."""
_OURS = re.compile(r"(^|/)restored-[0-9a-f]{12}\.jsonl$")
"""Our own sidecar manifests, where results are restored again."""


class Input(NamedTuple):
    """One picture to restore, as a listing tells of it."""

    root: str
    """Folder or s3://bucket/prefix."""
    key: str
    """Object below the root."""
    origin: str
    """Relative path that the result mirrors."""
    bytes: int = 0
    stamp: str = ""
    """Changes when the file changes."""
    offset: int = -1
    """Where it begins inside the object, `bytes` long; -1 where it is the whole object."""

    @property
    def name(self) -> str:
        """What tells it from every other input."""
        return f"{self.root}/{self.key}" + (f"@{self.offset}" if self.offset >= 0 else "")


@dataclass(frozen=True)
class Place:
    """Where inputs are looked for beside their own addresses."""

    objects: Storage
    """Holds the manifests and shards of `manifest:` addresses."""
    output: str = ""
    """Results that lie below an input folder are no inputs."""


def list_inputs(addresses: Sequence[str], place: Place) -> Iterator[Input]:
    """List what addresses name, one after the other, in the same order each time; a picture named twice comes twice.

    Args:
        addresses: files, folders, globs, `s3://bucket/prefix`, `manifest:HASH` of a dataset version or curation, or
            lists: files ending in .txt (an address a line), .csv or .jsonl (a column `address`, `uri`, `url` or `path`).
        place: object store, and the output, which is left out.

    Raises:
        SourceError: an address matches nothing, or no picture is left.
    """
    empty = True
    for address in addresses:
        for item in _listed(address, place):
            if not _is_result(item, place.output):
                empty = False
                yield item
    if empty:
        raise SourceError(f"Expected photos in {', '.join(addresses)}, found none. Put JPEG, PNG, WebP or TIFF files there.")


def _is_result(item: Input, output: str) -> bool:
    below_root = output.rstrip("/").startswith(f"{item.root}/")
    return _OURS.search(item.key) is not None or (below_root and f"{item.root}/{item.key}".startswith(f"{output.rstrip('/')}/"))


def _listed(address: str, place: Place) -> Iterator[Input]:
    if address.startswith("manifest:"):
        return _of_manifest(address.removeprefix("manifest:"), place.objects)
    if address.startswith("s3://"):
        return _of_list(address) if address.endswith(LISTS) else _of_bucket(address)
    path = Path(address.removeprefix("file://")).expanduser().absolute()
    if path.is_dir():
        return _of_folder(path)
    if path.is_file():
        return _of_list(str(path)) if path.suffix.lower() in LISTS else iter((_file(path, path.name),))
    return _of_glob(address, path)


def _file(path: Path, origin: str) -> Input:
    try:
        stat = path.stat()
    except OSError:
        return Input(str(path.parent), path.name, origin, 0, "unreadable")
    return Input(str(path.parent), path.name, origin, stat.st_size, f"{stat.st_size}-{stat.st_mtime_ns}")


def _of_folder(folder: Path) -> Iterator[Input]:
    """Visible files at any depth; links to folders are not followed."""
    for root, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root) / name
            if not name.startswith(".") and path.is_file():
                origin = path.relative_to(folder).as_posix()
                yield _file(path, origin)._replace(root=str(folder), key=origin)


def _refuse(error: OSError) -> None:
    raise SourceError(f"Cannot list '{error.filename}': {error.strerror}. Check its permissions.") from error


def _of_glob(address: str, path: Path) -> Iterator[Input]:
    empty = True
    for name in sorted(glob.iglob(str(path), recursive=True)):  # noqa: PTH207 (absolute patterns)
        if Path(name).is_file():
            empty = False
            yield _file(Path(name), Path(name).name)
    if empty:
        raise SourceError(f"Expected a photo, a folder or a glob that matches some, '{address}' matches nothing.")


def _of_bucket(address: str) -> Iterator[Input]:
    """Visible objects below a prefix, or the one object of that name."""
    root, empty = address.rstrip("/"), True
    try:
        for listed in open_storage(root).listing():
            if not listed.key.endswith("/") and not any(part.startswith(".") for part in PurePosixPath(listed.key).parts):
                empty = False
                yield Input(root, listed.key, listed.key, listed.bytes, listed.stamp)
        if not empty:
            return
        above, _, name = root.rpartition("/")
        found = next((one for one in open_storage(above).listing(name) if one.key == name), None) if above[5:] else None
    except StorageError as error:
        raise SourceError(f"Cannot list {root}: {error} Check bucket, endpoint and credentials.") from error
    if found is None:
        raise SourceError(f"Expected photos below {root}, found none. Check bucket and prefix.")
    yield Input(above, name, name, found.bytes, found.stamp)


def _of_list(address: str) -> Iterator[Input]:
    """Each address that a list holds, a file or an object; what is not there comes too, and fails when it is read."""
    folder, _, name = address.rpartition("/")
    lines = open_storage(folder).read(name).decode("utf-8-sig", errors="replace").splitlines()
    for text in _addresses(lines, PurePosixPath(name).suffix.lower(), address):
        if text.startswith("s3://"):
            bucket, _, key = text.removeprefix("s3://").partition("/")
            yield Input(f"s3://{bucket}", key, key, 0, "listed")
        elif folder.startswith("s3://"):
            yield Input(folder, text, text, 0, "listed")
        else:
            path = Path(folder, Path(text.removeprefix("file://")).expanduser())
            inside = path.is_relative_to(folder) and ".." not in path.parts
            yield _file(path, path.relative_to(folder).as_posix() if inside else path.name)


def _addresses(lines: Iterable[str], suffix: str, where: str) -> Iterator[str]:
    try:
        if suffix == ".txt":
            found: Iterable[Any] = (line.strip() for line in lines if not line.startswith("#"))
        elif suffix == ".csv":
            found = (_column(row, where) for row in csv.DictReader(lines))
        else:
            found = (_column(json.loads(line), where) for line in lines if line.strip())
        for text in found:
            if text and "://" in text and not text.startswith(("s3://", "file://")):
                raise SourceError(
                    f"Expected files or s3:// objects in {where}, got '{text}'. Bring pages in by lucidflux ingest."
                )
            if text:
                yield str(text)
    except (ValueError, csv.Error) as error:
        raise SourceError(
            f"Cannot read the list {where}: {error}. Expected one JSON object a line, or CSV with a header."
        ) from error


def _column(row: Any, where: str) -> str:
    if isinstance(row, str):
        return row
    name = next((name for name in _COLUMNS if isinstance(row, dict) and name in row), None)
    if name is None:
        raise SourceError(f"Expected a column {', '.join(_COLUMNS)} in {where}, got {str(row)[:100]}.")
    return str(row[name] or "").strip()


def _of_manifest(name: str, objects: Storage) -> Iterator[Input]:
    """Pictures of a dataset version, or those that a curation kept; they lie in the object store's shards."""
    with Tables(objects) as tables:
        tables.manifest("rows", _manifest(name, objects))
        wanted = "verdict is null or verdict in ('', 'kept')"
        sql = f"select shard, origin, \"offset\", length, id from rows where ({wanted}) and shard <> '' order by origin, id"
        for shard, origin, offset, length, image_id in tables.tuples(sql):
            yield Input(objects.root, shard, origin, length, image_id, offset)


def _manifest(name: str, objects: Storage) -> Manifest:
    try:
        return catalog.find(objects, Curation, name).manifest
    except ManifestError:
        return catalog.find(objects, DatasetVersion, name).manifest


def read_input(item: Input, store: Storage) -> bytes:
    """Read one input from the store at its root.

    Raises:
        StorageError: it is not there.
        SourceError: the store as a whole does not answer, which is not the picture's fault.
    """
    try:
        return store.read(item.key) if item.offset < 0 else store.read_range(item.key, item.offset, item.bytes)
    except StorageError as error:
        if not isinstance(store, LocalStorage):
            try:
                next(iter(store.listing(item.key)), None)
            except StorageError as away:
                raise SourceError(f"{store.root} does not answer any more; run it again to go on: {away}") from error
        raise
