"""Where pictures come from: a kind -> source table; one file each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from components.errors import lookup
from components.ingest.folder import FolderSource
from components.ingest.packaged import PackagedSource
from components.ingest.s3 import S3Source
from components.ingest.settings import IngestSettings
from components.ingest.source import Address, Source, parse_address
from components.ingest.tars import TarSource
from components.ingest.urls import UrlSource

SOURCES: Mapping[str, Callable[[Address, IngestSettings], Source]] = {
    "folder": FolderSource.open,
    "packaged": PackagedSource.open,
    "s3": S3Source.open,
    "tar": TarSource.open,
    "urls": UrlSource.open,
}


def open_source(address: str, settings: IngestSettings) -> Source:
    """Open a plain path, `folder:PATH`, `packaged:` (photos inside installed packages), `s3://…`, `tar:PLACE` or `urls:PATH`.

    Raises:
        UnknownName: for a kind that is not in SOURCES.
        SourceError: the address cannot be read.
    """
    parsed = parse_address(address)
    return lookup(SOURCES, parsed.kind, kind="source")(parsed, settings)
