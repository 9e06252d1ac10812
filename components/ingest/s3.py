"""Pictures below a prefix of an S3 bucket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from components.backends.storage import Listed, Storage, open_storage
from components.errors import DecodeError, SourceError, StorageError
from components.ingest.folder import NOT_PICTURES
from components.ingest.objects import read_ahead, refused
from components.ingest.settings import IngestSettings
from components.ingest.source import About, Address, Entry, Fetched
from components.ingest.text import as_origin


@dataclass(frozen=True)
class S3Source:
    """Every object below a prefix but hidden ones and notes; the key below the prefix is the origin."""

    root: str
    """s3://bucket/prefix; credentials, region and AWS_ENDPOINT_URL come from the environment."""
    about: About
    max_bytes: int
    """Larger objects are listed and fail before they are read."""
    threads: int

    @classmethod
    def open(cls, address: Address, settings: IngestSettings) -> S3Source:
        """Open `s3://BUCKET/PREFIX`; the last word of the prefix is the source's name."""
        place = address.where.strip("/")
        if not address.where.startswith("//") or not place:
            raise SourceError(f"Expected s3://bucket/prefix, got 's3:{address.where}'.")
        about = address.about(PurePosixPath(place).name)
        return cls(f"s3://{place}", about, settings.max_bytes, settings.s3_concurrency)

    def entries(self) -> Iterator[Entry]:
        """See Source.entries."""
        empty = True
        try:
            for listed in filter(_wanted, open_storage(self.root).listing()):
                empty = False
                yield self._entry(listed)
        except StorageError as error:
            raise SourceError(f"Cannot list {self.root}: {error} Check bucket, endpoint and credentials.") from error
        if empty:
            raise SourceError(f"Expected photos below {self.root}, found none. Check the prefix.")

    def _entry(self, listed: Listed) -> Entry:
        origin = as_origin(listed.key)
        return Entry(origin, f"{self.about.name}/{origin}", listed.bytes, listed.stamp, at=listed.key)

    def read(self, entries: Sequence[Entry]) -> Iterator[Fetched]:
        """See Source.read; raises SourceError when the bucket does not answer any more."""
        return read_ahead(partial(self._read, open_storage(self.root)), entries, self.threads)

    def _read(self, store: Storage, entry: Entry) -> bytes:
        if entry.bytes > self.max_bytes:
            raise DecodeError("too_many_bytes", f"{entry.bytes} bytes; at most {self.max_bytes} (ingest.max_bytes)")
        try:
            return store.read(entry.at)
        except StorageError as error:
            raise refused(store, entry.at, error) from error


def _wanted(listed: Listed) -> bool:
    parts = PurePosixPath(listed.key).parts
    hidden = any(part.startswith(".") for part in parts)
    return not hidden and not listed.key.endswith("/") and PurePosixPath(listed.key).suffix.lower() not in NOT_PICTURES
