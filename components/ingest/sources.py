"""Where pictures come from: a name -> source table; one file each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from components.errors import lookup
from components.ingest.folder import FolderSource
from components.ingest.packaged import PackagedSource
from components.ingest.settings import IngestSettings
from components.ingest.source import Source

SOURCES: Mapping[str, Callable[[str, IngestSettings], Source]] = {
    "folder": lambda where, settings: FolderSource(Path(where), max_bytes=settings.max_bytes),
    "packaged": lambda _, settings: PackagedSource(crop_px=settings.packaged_crop_px),
}


def open_source(address: str, settings: IngestSettings) -> Source:
    """Open `packaged:` (photos inside installed packages), `folder:PATH` or a plain path.

    Raises:
        UnknownName: for a kind that is not in SOURCES.
        SourceError: the source cannot be read.
    """
    kind, colon, where = address.partition(":")
    if not colon or (len(kind) == 1 and where.startswith("\\")):
        kind, where = "folder", address
    return lookup(SOURCES, kind, kind="source")(where, settings)
