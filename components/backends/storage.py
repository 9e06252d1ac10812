"""Objects by logical key, in a local folder or an S3 bucket.

A key is a relative POSIX path such as `shards/3f…tar`. Writes are atomic: a reader sees the whole
object or none.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import uuid
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol
from urllib.parse import urlparse

import psutil

from components.errors import StorageError

PART_BYTES = 8 << 20
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
"""In the names of unfinished files: a folder may be shared, process ids are not."""


class Listed(NamedTuple):
    """What a listing says of one object, without reading it."""

    key: str
    bytes: int
    stamp: str
    """Changes when the object changes: size and time of change, or the ETag."""


class Storage(Protocol):
    """What every object store offers."""

    root: str

    def read(self, key: str) -> bytes:
        """Give the whole object; raises StorageError when it is missing."""

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """Give `length` bytes from `offset`; raises StorageError when the object is missing or shorter."""

    def size(self, key: str) -> int:
        """Give the length in bytes; raises StorageError when the object is missing."""

    def put(self, key: str, data: bytes) -> str:
        """Write the object atomically and give its key back."""

    def put_new(self, key: str, data: bytes) -> bool:
        """Write the object atomically unless something else is there; True when it is there now with these bytes."""

    def put_file(self, key: str, path: Path) -> str:
        """Copy a local file in, atomically, and give its key back."""

    def delete(self, key: str) -> None:
        """Remove the object; one that is not there is no error."""

    def exists(self, key: str) -> bool:
        """Say whether the object is there."""

    def list(self, prefix: str = "") -> Iterator[str]:
        """Give every key below the prefix, sorted."""

    def listing(self, prefix: str = "") -> Iterator[Listed]:
        """Give every object below the prefix with its size and stamp, sorted by key."""

    def fetch(self, key: str) -> Path:
        """Give a local path of the object; a remote one is copied once and kept."""


def open_storage(root: str, *, cache: Path | None = None) -> Storage:
    """Open `s3://bucket/prefix` or a local folder (`file:///…` or a plain path).

    Args:
        root: where the keys live.
        cache: folder for the copies of remote objects that `fetch` makes; without one they go with the storage.

    Raises:
        StorageError: for any other scheme.
    """
    parts = urlparse(root)
    if parts.scheme == "s3":
        from components.backends.s3 import S3Storage

        return S3Storage(root, cache=cache)
    if parts.scheme in ("", "file"):
        return LocalStorage(parts.path if parts.scheme else root)
    raise StorageError(f"Expected s3://bucket/prefix or a folder, got '{root}'. Set backend.objects to one of them.")


def checked_key(key: str) -> str:
    """Refuse keys that would leave the root."""
    path = PurePosixPath(key)
    if not key or path.is_absolute() or ".." in path.parts:
        raise StorageError(f"Expected a relative key without '..', got '{key}'.")
    return str(path)


class LocalStorage:
    """Objects as files below one folder."""

    def __init__(self, folder: str | Path) -> None:
        """Remember the folder; it is made at the first write."""
        self.folder = Path(folder).absolute()
        self.root = str(self.folder)

    def _path(self, key: str) -> Path:
        return self.folder / checked_key(key)

    def read(self, key: str) -> bytes:
        """See Storage.read."""
        try:
            return self._path(key).read_bytes()
        except OSError as error:
            raise missing(self.root, key, error) from error

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """See Storage.read_range."""
        try:
            with self._path(key).open("rb") as file:
                file.seek(offset)
                return whole(file.read(length), key, offset, length)
        except OSError as error:
            raise missing(self.root, key, error) from error

    def size(self, key: str) -> int:
        """See Storage.size."""
        try:
            return self._path(key).stat().st_size
        except OSError as error:
            raise missing(self.root, key, error) from error

    def put(self, key: str, data: bytes) -> str:
        """See Storage.put."""
        with self.replacing(key) as partial:
            partial.write_bytes(data)
        return key

    def put_new(self, key: str, data: bytes) -> bool:
        """See Storage.put_new."""
        target = self._path(key)
        try:
            with Replacing(target, new=True) as partial:
                partial.write_bytes(data)
        except FileExistsError:
            return self.read(key) == data
        return True

    def put_file(self, key: str, path: Path) -> str:
        """See Storage.put_file."""
        with self.replacing(key) as partial:
            shutil.copyfile(path, partial)
        return key

    def replacing(self, key: str) -> Replacing:
        """Give a path to write to; the file takes the object's place when the block ends well."""
        return Replacing(self._path(key))

    def delete(self, key: str) -> None:
        """See Storage.delete."""
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"Cannot delete '{key}' below {self.root}: {error.strerror}.") from error

    def exists(self, key: str) -> bool:
        """See Storage.exists."""
        return self._path(key).is_file()

    def list(self, prefix: str = "") -> Iterator[str]:
        """See Storage.list."""
        below = self.folder / prefix.rpartition("/")[0]  # the deepest folder that holds every such key
        found = (path.relative_to(self.folder).as_posix() for path in below.rglob("*") if path.is_file())
        yield from sorted(key for key in found if key.startswith(prefix) and not is_partial(key))

    def listing(self, prefix: str = "") -> Iterator[Listed]:
        """See Storage.listing."""
        for key in self.list(prefix):
            try:
                stat = self._path(key).stat()
            except OSError as error:
                raise missing(self.root, key, error) from error
            yield Listed(key, stat.st_size, f"{stat.st_size}-{stat.st_mtime_ns}")

    def fetch(self, key: str) -> Path:
        """See Storage.fetch; a local object is its own copy."""
        path = self._path(key)
        if not path.is_file():
            raise missing(self.root, key, None)
        return path


class Replacing:
    """Write beside the target, flush, rename over it; a failure leaves nothing. A `new` one raises where a target is."""

    def __init__(self, target: Path, *, new: bool = False) -> None:
        self.target, self.new = target, new
        self.partial = target.with_name(f".{target.name}.{_HOST}-{os.getpid()}-{uuid.uuid4().hex}.partial")

    def __enter__(self) -> Path:
        """Make the folder and give the path."""
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            sentence = f"Cannot write below {self.target.parent}: {error.strerror}. Choose another --home."
            raise StorageError(sentence) from error
        _sweep(self.target.parent)
        return self.partial

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Put the file in its place, or delete it."""
        if kind is not None:
            self.partial.unlink(missing_ok=True)
            if isinstance(error, OSError):
                sentence = f"Cannot write {self.target}: {error.strerror}. Free space or choose another --home."
                raise StorageError(sentence) from error
            return
        with self.partial.open("rb") as file:
            os.fsync(file.fileno())
        if not self.new:
            self.partial.replace(self.target)
            return
        try:
            os.link(self.partial, self.target)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if self.target.exists():
                raise FileExistsError(str(self.target)) from None
            self.partial.replace(self.target)
        finally:
            self.partial.unlink(missing_ok=True)


@lru_cache(maxsize=256)
def _sweep(folder: Path) -> None:
    """Delete what killed processes of this machine left in a folder; once per process and folder."""
    for path in folder.glob(f".*.{_HOST}-*.partial"):
        pid = path.name.rpartition(f".{_HOST}-")[2].partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            path.unlink(missing_ok=True)


def missing(root: str, key: str, error: Exception | None) -> StorageError:
    """Say which object could not be read."""
    detail = f" ({error})" if error else ""
    return StorageError(
        f"Cannot read '{key}' below {root}{detail}. Was the home or the bucket changed? Run the stage that makes it again."
    )


def whole(data: bytes, key: str, offset: int, length: int) -> bytes:
    """Refuse a range that came back short."""
    if len(data) != length:
        raise StorageError(f"Expected {length} bytes of '{key}' from {offset}, got {len(data)}; the object is cut.")
    return data


def is_partial(key: str) -> bool:
    """Tell leftovers of a killed write from objects."""
    return re.search(r"(^|/)\.[^/]*\.partial$", key) is not None


def file_sha256(path: Path) -> str:
    """sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PART_BYTES):
            digest.update(piece)
    return digest.hexdigest()
