"""How weights come in: from a mirror, from the model hub, or from files that the user already has.

A download goes on where a killed one stopped. Nothing takes its place before hash and content are proven.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from components.backends.pins import Pin, PinnedFile
from components.backends.storage import file_sha256, open_storage
from components.backends.weights import Shelf
from components.errors import StorageError, WeightsError
from components.records import Progress, quiet

PIECE_BYTES = 32 << 20
MIB = 1 << 20


class NotThere(Exception):
    """A source has no such file; `str` is the reason."""


class Source(Protocol):
    """A place that may have a file."""

    def fetch(self, name: str, pin: Pin, file: PinnedFile, partial: Path, progress: Progress) -> None:
        """Bring a file to `partial`, whole; raises NotThere."""


class Mirror:
    """A folder or s3://bucket/prefix laid out like a weights folder."""

    def __init__(self, root: str) -> None:
        """Open the store.

        Raises:
            StorageError: it is neither a folder nor an S3 address.
        """
        self.store = open_storage(root)

    def fetch(self, name: str, pin: Pin, file: PinnedFile, partial: Path, progress: Progress) -> None:
        """See Source.fetch; goes on after the bytes that are there."""
        del pin
        key = f"{name}/{file.path}"
        try:
            size = self.store.size(key)
        except StorageError as error:
            raise NotThere(f"mirror {self.store.root} has no {key}") from error
        origin = partial.with_name(f"{partial.name}.origin")
        begun = origin.is_file() and origin.read_text() == f"{self.store.root} {size}" and partial.is_file()
        if not begun or partial.stat().st_nlink > 1:  # a link left by a killed import is the user's own file
            partial.unlink(missing_ok=True)
        origin.write_text(f"{self.store.root} {size}")
        with partial.open("ab", buffering=0) as out:
            done = out.seek(0, os.SEEK_END)
            while done < size:
                done += out.write(self.store.read_range(key, done, min(PIECE_BYTES, size - done)))
                progress(f"fetch {file.path} (MiB)", done // MIB, size // MIB)
            out.truncate(size)


class HubCache:
    """What the hub's library has kept on this machine; asks no network."""

    def __init__(self, cache: Path | None = None) -> None:
        """Look into the library's own cache folder, or into another one."""
        self.cache = cache

    def fetch(self, name: str, pin: Pin, file: PinnedFile, partial: Path, progress: Progress) -> None:
        """See Source.fetch; links the file where the disk allows."""
        del name
        try:
            from huggingface_hub import try_to_load_from_cache
        except ImportError as error:
            raise NotThere("the library huggingface_hub is not installed") from error
        found = try_to_load_from_cache(pin.repository, file.path, cache_dir=self.cache)
        if not isinstance(found, str):
            raise NotThere("the hub library's cache has no copy")
        blob = Path(found).resolve()
        if file.sha256 and blob.name != file.sha256:  # a large file is kept under its hash
            raise NotThere(f"the hub library's cache has another version ({blob.name})")
        _take(blob, partial)
        progress(f"fetch {file.path}", 1, 1)


class Hub:
    """The model hub, through its own library."""

    def __init__(self, download: Callable[..., str] | None = None) -> None:
        """Use the library's download, or another one of the same form."""
        self.download = download

    def fetch(self, name: str, pin: Pin, file: PinnedFile, partial: Path, progress: Progress) -> None:
        """See Source.fetch; the library keeps what a killed download left."""
        del name
        place = f"hub repository {pin.repository}"
        if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
            raise NotThere(f"{place}: HF_HUB_OFFLINE is set")
        if self.download is None:
            try:
                from huggingface_hub import hf_hub_download
            except ImportError as error:
                raise NotThere(f"{place}: the library huggingface_hub is not installed") from error
            logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it tells each retry; the error below is enough
            self.download = hf_hub_download
        progress(f"fetch {file.path}", 0, 1)
        try:
            got = self.download(pin.repository, file.path, local_dir=partial.parents[len(Path(file.path).parts) - 1] / ".hub")
        except Exception as error:  # the library's errors have no common root
            raise NotThere(f"{place}: {type(error).__name__}, {str(error).strip().partition(chr(10))[0][:200]}") from error
        Path(got).replace(partial)
        progress(f"fetch {file.path}", 1, 1)


def sources(mirror: str = "") -> list[Source]:
    """Where to look, in order: the mirror if there is one, the hub library's cache, the hub."""
    return [*([Mirror(mirror)] if mirror else []), HubCache(), Hub()]


def fetch(shelf: Shelf, name: str, places: Sequence[Source], progress: Progress = quiet) -> None:
    """Bring every file of a set that is not there yet, prove the set, and put it in its place.

    Args:
        shelf: the weights folder.
        name: the set.
        places: where to look, in order.
        progress: called while bytes arrive.

    Raises:
        UnknownName: there is no such set.
        WeightsError: no place has a file, the hash or the content is wrong, or the folder cannot be written.
    """
    pin = shelf.pin(name)
    with shelf.alone(), shelf.writing():
        if all(shelf.trusted(name, file) for file in pin.files):
            return
        paths, digests = {}, {}
        for file in pin.files:
            path = shelf.path(name, file)
            if (digest := _good(shelf, name, file)) is None:
                path = shelf.staged(name, file)
                path.parent.mkdir(parents=True, exist_ok=True)
                digest = _bring(shelf, name, file, path, places, progress)
            paths[file], digests[file] = path, digest
        try:
            shelf.prove_content(name, paths)
        except WeightsError:
            shelf.clear(name)
            raise
        shelf.land(name, paths, digests)


def _good(shelf: Shelf, name: str, file: PinnedFile) -> str | None:
    """Hash of a file that is there and not known to be wrong; None when it has to come."""
    if not shelf.path(name, file).is_file():
        return None
    try:
        return shelf.prove_hash(name, file, shelf.path(name, file))
    except WeightsError:
        return None


def _bring(shelf: Shelf, name: str, file: PinnedFile, partial: Path, places: Sequence[Source], progress: Progress) -> str:
    """Fetch one file from the first place that has it; gives its hash."""
    pin, looked = shelf.pin(name), []
    _room(shelf, file, partial)
    for place in places:
        try:
            place.fetch(name, pin, file, partial, progress)
        except NotThere as reason:
            looked.append(str(reason))
            continue
        except StorageError as error:
            raise WeightsError(f"Lost the connection while fetching {file.path} ({error}). Run it again to go on.") from error
        try:
            return shelf.prove_hash(name, file, partial)
        except WeightsError:
            partial.unlink()
            raise
    raise WeightsError(
        f"'{file.path}' of '{name}' (sha256 {file.sha256 or 'not pinned'}) was found nowhere. Looked in: "
        f"{'; '.join([str(shelf.path(name, file)), *looked])}. Put it at {shelf.path(name, file)} by hand, "
        f"run lucidflux weights import {name} PATH, or name a --mirror that has {name}/{file.path}."
    )


def _room(shelf: Shelf, file: PinnedFile, partial: Path) -> None:
    have = partial.stat().st_size if partial.is_file() else 0
    free = shutil.disk_usage(shelf.folder).free
    if file.size - have > free:
        raise WeightsError(
            f"'{file.path}' needs {(file.size - have) / 1e9:.1f} GB more, {shelf.folder} has {free / 1e9:.1f} GB free. "
            "Free space, or set backend.weights or LUCIDFLUX_WEIGHTS to another folder."
        )


def bring_in(shelf: Shelf, name: str, source: Path) -> None:
    """Take a set from files that are already on this machine; a hard link where the disk allows, else a copy.

    Args:
        shelf: the weights folder.
        name: the set.
        source: the file, or the folder that holds every file of the set under its path in the repository.

    Raises:
        UnknownName: there is no such set.
        WeightsError: a file is missing, has another hash, or holds something else; nothing is left half written.
    """
    pin = shelf.pin(name)
    found = {file: _located(source, file, single=len(pin.files) == 1) for file in pin.files}
    absent = [file.path for file, path in found.items() if not path.is_file()]
    if absent:
        raise WeightsError(f"Expected {', '.join(absent)} of '{name}' at {source}, found none. Name the file or its folder.")
    with shelf.alone(), shelf.writing():
        digests = shelf.prove(name, found)
        try:
            staged = {file: _staged_copy(shelf, name, file, path, digests[file]) for file, path in found.items()}
            shelf.land(name, staged, digests)
        finally:
            shelf.clear(name)


def _located(source: Path, file: PinnedFile, *, single: bool) -> Path:
    if single and source.is_file():
        return source
    return source / file.path


def _staged_copy(shelf: Shelf, name: str, file: PinnedFile, path: Path, digest: str) -> Path:
    partial = shelf.staged(name, file)
    partial.parent.mkdir(parents=True, exist_ok=True)
    if not _take(path.resolve(), partial) and (copied := file_sha256(partial)) != digest:
        raise WeightsError(f"{path} changed while it was copied: sha256 {copied}, expected {digest}. Run it again.")
    return partial


def _take(path: Path, partial: Path) -> bool:
    """Link a file, or copy it where the disk has no links; says whether it was linked."""
    partial.unlink(missing_ok=True)
    try:
        os.link(path, partial)
    except OSError:
        shutil.copyfile(path, partial)
        return False
    return True
