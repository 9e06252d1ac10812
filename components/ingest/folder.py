"""Pictures in a folder, at any depth."""

from __future__ import annotations

import os
from pathlib import Path

from components.errors import DecodeError, SourceError
from components.ingest.source import Entry

NOT_PICTURES = {".csv", ".json", ".jsonl", ".md", ".txt", ".html", ".toml", ".yaml", ".yml", ".xml", ".pdf", ".py", ".ini"}
"""Notes that usually lie beside photos; every other file gets a row and a verdict."""


class FolderSource:
    """Every file below a folder but hidden ones and notes."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        """Remember the folder.

        Args:
            folder: any depth is searched; links to folders are not followed.
            max_bytes: larger files are listed and fail when read.
        """
        self.folder = folder.expanduser().absolute()
        self.max_bytes = max_bytes
        self.name = self.folder.name or "root"

    def entries(self) -> list[Entry]:
        """See Source.entries."""
        if not self.folder.exists():
            raise SourceError(f"Expected a folder with photos, '{self.folder}' does not exist. Check the path.")
        if not self.folder.is_dir():
            raise SourceError(f"Expected a folder with photos, '{self.folder}' is a file. Give the folder that holds it.")
        found: list[Entry] = []
        for root, folders, names in os.walk(self.folder, onerror=_refuse):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            found += [self._entry(Path(root) / name) for name in names if _wanted(name)]
        if not found:
            raise SourceError(f"Expected photos below '{self.folder}', found none. Put JPEG, PNG, WebP or TIFF files there.")
        return sorted(found)

    def _entry(self, path: Path) -> Entry:
        origin = path.relative_to(self.folder).as_posix()
        try:
            stat = path.stat()
        except OSError:
            return Entry(origin=origin, scene=f"{self.name}/{origin}", bytes=0, stamp="unreadable")
        return Entry(origin=origin, scene=f"{self.name}/{origin}", bytes=stat.st_size, stamp=f"{stat.st_size}-{stat.st_mtime_ns}")

    def read(self, origin: str) -> bytes:
        """See Source.read."""
        path = self.folder / origin
        try:
            if path.stat().st_size > self.max_bytes:
                raise DecodeError("too_many_bytes", f"{path.stat().st_size} bytes; at most {self.max_bytes} (ingest.max_bytes)")
            return path.read_bytes()
        except OSError as error:
            raise DecodeError("unreadable", f"{origin}: {error.strerror}") from error

    def licence(self, origin: str) -> str:
        """A folder does not say; the operator does, per source."""
        del origin
        return "own"


def _wanted(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() not in NOT_PICTURES


def _refuse(error: OSError) -> None:
    raise SourceError(f"Cannot list '{error.filename}': {error.strerror}. Check its permissions.") from error
