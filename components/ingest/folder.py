"""Pictures in a folder, at any depth."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.errors import DecodeError, SourceError
from components.ingest.settings import IngestSettings
from components.ingest.source import About, Address, Entry, Fetched, read_each
from components.ingest.text import as_origin

NOT_PICTURES = {".csv", ".json", ".jsonl", ".md", ".txt", ".html", ".toml", ".yaml", ".yml", ".xml", ".pdf", ".py", ".ini"}
"""Notes that usually lie beside photos; every other file gets a row and a verdict."""


@dataclass(frozen=True)
class FolderSource:
    """Every file below a folder but hidden ones and notes; links to folders are not followed."""

    folder: Path
    about: About
    max_bytes: int
    """Larger files are listed and fail when read."""

    @classmethod
    def open(cls, address: Address, settings: IngestSettings) -> FolderSource:
        """Open `folder:PATH`; the folder's own name is the source's."""
        folder = Path(address.where).expanduser().absolute()
        return cls(folder, address.about(folder.name or "root"), settings.max_bytes)

    def entries(self) -> Iterator[Entry]:
        """See Source.entries."""
        if not self.folder.exists():
            raise SourceError(f"Expected a folder with photos, '{self.folder}' does not exist. Check the path.")
        if not self.folder.is_dir():
            raise SourceError(f"Expected a folder with photos, '{self.folder}' is a file. Give the folder that holds it.")
        empty = True
        for root, folders, names in os.walk(self.folder, onerror=_refuse):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(filter(_wanted, names)):
                empty = False
                yield self._entry(Path(root) / name)
        if empty:
            raise SourceError(f"Expected photos below '{self.folder}', found none. Put JPEG, PNG, WebP or TIFF files there.")

    def _entry(self, path: Path) -> Entry:
        at = path.relative_to(self.folder).as_posix()
        origin = as_origin(at)
        scene = f"{self.about.name}/{origin}"
        try:
            stat = path.stat()
        except OSError:
            return Entry(origin, scene, bytes=0, stamp="unreadable", at=at)
        return Entry(origin, scene, bytes=stat.st_size, stamp=f"{stat.st_size}-{stat.st_mtime_ns}", at=at)

    def read(self, entries: Sequence[Entry]) -> Iterator[Fetched]:
        """See Source.read."""
        return read_each(self._read, entries)

    def _read(self, entry: Entry) -> bytes:
        path = self.folder / entry.at
        try:
            if path.stat().st_size > self.max_bytes:
                raise DecodeError("too_many_bytes", f"{path.stat().st_size} bytes; at most {self.max_bytes} (ingest.max_bytes)")
            return path.read_bytes()
        except OSError as error:
            raise DecodeError("unreadable", f"{entry.origin}: {error.strerror}") from error


def _wanted(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() not in NOT_PICTURES


def _refuse(error: OSError) -> None:
    raise SourceError(f"Cannot list '{error.filename}': {error.strerror}. Check its permissions.") from error
