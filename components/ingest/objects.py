"""Reading pictures from an object store: several at a time, given in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from components.backends.storage import Storage
from components.errors import DecodeError, SourceError, StorageError
from components.ingest.source import Entry, Fetched, Reader, read_each


def read_ahead(read: Reader, entries: Sequence[Entry], threads: int) -> Iterator[Fetched]:
    """Read entries with several threads and give them in order; at most `threads` pictures are in memory."""
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[Fetched]] = deque()
    try:
        for entry in entries:
            if len(waiting) == threads:
                yield waiting.popleft().result()
            waiting.append(pool.submit(_read_one, read, entry))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _read_one(read: Reader, entry: Entry) -> Fetched:
    return next(read_each(read, [entry]))


def refused(store: Storage, key: str, error: StorageError) -> DecodeError:
    """Say that one object cannot be read.

    Raises:
        SourceError: the store as a whole does not answer, which is not the picture's fault.
    """
    try:
        next(iter(store.listing(key)), None)
    except StorageError as away:
        raise SourceError(f"{store.root} does not answer any more; run the same command again to go on: {away}") from error
    return DecodeError("unreadable", str(error))
