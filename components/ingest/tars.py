"""Pictures in uncompressed tars, as WebDataset writes them and LSDIR is distributed."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from components.backends.storage import Listed, Storage, open_storage
from components.errors import DecodeError, SourceError, StorageError
from components.ingest.folder import NOT_PICTURES
from components.ingest.objects import read_ahead, refused
from components.ingest.settings import IngestSettings
from components.ingest.source import About, Address, Entry, Fetched, read_each
from components.ingest.tar_headers import MOST_BYTES, Member, RangedFile, TarCut, members
from components.ingest.text import as_origin, printable

REASONS = {
    "truncated_tar": "the tar stops, or goes on with what is no header, at this picture or after the last one listed",
    "not_a_file": "a link, a device, a pipe or a file with holes; it is not followed",
    "too_many_bytes": "more bytes than ingest.max_bytes",
    "unreadable": "the tar was changed or taken away after it was listed",
}
"""Every verdict of this source, and what it means."""

SIDE_FILES = NOT_PICTURES | {
    ".cls",
    ".cls2",
    ".id",
    ".index",
    ".npy",
    ".npz",
    ".pt",
    ".pth",
    ".pkl",
    ".pyd",
    ".safetensors",
    ".transcript",
}
"""Members beside a picture that get no row."""
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
GROUP_MEMBERS = 64
"""Most members of one sample that are held back until its note is found."""
_MAGIC = re.compile(r"[*?[]")
BLOCK_BYTES, REMOTE_BLOCK_BYTES = 4096, 64 << 10


class Note(NamedTuple):
    """What the `.json` beside a picture says of it."""

    licence: str = ""
    url: str = ""


@dataclass(frozen=True)
class TarSource:
    """Every picture in the tars of a folder or a bucket; members of one WebDataset key share their scene."""

    root: str
    pattern: str
    """Of the tars' keys below the root; `*` stands for folders too."""
    about: About
    max_bytes: int
    threads: int
    """Members read at one time from a bucket."""

    @classmethod
    def open(cls, address: Address, settings: IngestSettings) -> TarSource:
        """Open `tar:PLACE`: a tar, a folder of tars or a pattern, on this machine or as s3://bucket/…."""
        if address.where.endswith(COMPRESSED):
            raise SourceError(
                f"Expected an uncompressed tar, got '{address.where}': its members cannot be read one by one. Unpack it."
            )
        where = address.where if address.where.startswith("s3://") else Path(address.where).expanduser().absolute().as_posix()
        root, pattern = _place(where)
        about = address.about(PurePosixPath(where.rstrip("/")).stem.replace("*", "") or "tars")
        return cls(root, pattern, about, settings.max_bytes, settings.s3_concurrency)

    def entries(self) -> Iterator[Entry]:
        """See Source.entries; no content of a picture is read."""
        store = open_storage(self.root)
        empty = True
        try:
            for listed in store.listing(_MAGIC.split(self.pattern)[0]):
                if fnmatchcase(listed.key, self.pattern):
                    for entry in self._entries(store, listed):
                        empty = False
                        yield entry
        except StorageError as error:
            raise SourceError(f"Cannot list the tars '{self.pattern}' in {self.root}: {error}") from error
        if empty:
            raise SourceError(f"Expected photos in the tars '{self.pattern}' in {self.root}, found none. Check the path.")

    def _entries(self, store: Storage, tar: Listed) -> Iterator[Entry]:
        """Entries of one tar, each with an origin of its own."""
        block = REMOTE_BLOCK_BYTES if self.root.startswith("s3://") else BLOCK_BYTES
        file = RangedFile(store, tar.key, tar.bytes, block=block)
        times: dict[str, int] = {}
        for member, note, reason in _pictures(file):
            origin = as_origin(f"{tar.key}/{member.name}")
            times[origin] = times.get(origin, 0) + 1
            yield Entry(
                origin if times[origin] == 1 else f"{origin}#{times[origin]}",
                f"{self.about.name}/{as_origin(f'{tar.key}/{_key(member.name)}')}",
                bytes=member.bytes,
                stamp=tar.stamp,
                at=reason or f"{member.offset}:{member.bytes}:{tar.key}",
                url=note.url,
                licence=note.licence,
            )

    def read(self, entries: Sequence[Entry]) -> Iterator[Fetched]:
        """See Source.read; raises SourceError when a bucket does not answer any more."""
        read = partial(self._read, open_storage(self.root))
        return read_ahead(read, entries, self.threads) if self.root.startswith("s3://") else read_each(read, entries)

    def _read(self, store: Storage, entry: Entry) -> bytes:
        if entry.at in REASONS:
            raise DecodeError(entry.at, entry.origin)
        if entry.bytes > self.max_bytes:
            raise DecodeError("too_many_bytes", f"{entry.bytes} bytes; at most {self.max_bytes} (ingest.max_bytes)")
        offset, length, key = entry.at.split(":", 2)
        try:
            return store.read_range(key, int(offset), int(length))
        except StorageError as error:
            raise refused(store, key, error) from error


def _place(where: str) -> tuple[str, str]:
    """Split a place into a root that is no pattern and a pattern below it."""
    root, _, last = where.rpartition("/")
    if where.endswith(".tar") and (not glob.has_magic(where) or Path(where).is_file()):
        return root, glob.escape(last)
    if not glob.has_magic(where) or Path(where).is_dir():
        return where, "*.tar"
    parts = where.split("/")
    first = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    return "/".join(parts[:first]) or "/", "/".join(parts[first:])


def _pictures(file: RangedFile) -> Iterator[tuple[Member, Note, str]]:
    """Pictures of one tar with what their note says, and the reason where one cannot be read."""
    try:
        for group in _groups(members(file)):
            note = _note(file, group)
            for member in group:
                if PurePosixPath(member.name).suffix.lower() not in SIDE_FILES:
                    yield member, note, "" if member.plain else "not_a_file"
    except TarCut as cut:
        name = cut.name or f"@{cut.offset}"
        yield Member(name, cut.offset, 0, plain=False), Note(), "truncated_tar"


def _groups(listed: Iterable[Member]) -> Iterator[list[Member]]:
    """Join neighbours with one key; what is held back comes before an error."""
    group: list[Member] = []
    try:
        for member in listed:
            if group and (_key(member.name) != _key(group[0].name) or len(group) == GROUP_MEMBERS):
                yield group
                group = []
            group.append(member)
    except TarCut:
        if group:
            yield group
        raise
    if group:
        yield group


def _key(name: str) -> str:
    """WebDataset's key: the name up to the first dot of its last part."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition('.')[0]}"


def _note(file: RangedFile, group: list[Member]) -> Note:
    """Licence and address from the `.json` of a group; a note that cannot be read says nothing."""
    for member in group:
        if member.plain and member.name.lower().endswith(".json") and member.bytes <= MOST_BYTES:
            file.seek(member.offset)
            try:
                said = json.loads(file.read(member.bytes))
            except (ValueError, RecursionError):
                return Note()
            if isinstance(said, dict):
                return Note(_word(said, "licence", "license"), _word(said, "url"))
    return Note()


def _word(said: dict[str, object], *names: str) -> str:
    return next((printable(value) for name in names if isinstance(value := said.get(name), str)), "")
