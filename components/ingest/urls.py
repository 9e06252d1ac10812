"""Pictures of a list of addresses, asked for many at a time and given in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from components.errors import DecodeError
from components.ingest.room import NoRoom, Room, Share
from components.ingest.settings import IngestSettings, UrlSettings
from components.ingest.source import About, Address, Entry, Fetched
from components.ingest.text import as_origin, printable
from components.ingest.url_lists import Columns, rows
from components.ingest.web import DNS_THREADS, Web

T = TypeVar("T")

FIRST_GUESS_BYTES = 1 << 20
"""Size of a picture on the web before any was seen."""


@dataclass(frozen=True)
class UrlSource:
    """One picture per row of a Parquet, CSV, TSV or JSONL list; the origin is `<list>#<row>`."""

    place: Path
    about: About
    max_bytes: int
    settings: UrlSettings

    @classmethod
    def open(cls, address: Address, settings: IngestSettings) -> UrlSource:
        """Open `urls:PATH`: a list, a tar.gz of lists, or a folder of either."""
        place = Path(address.where).expanduser().absolute()
        about = address.about(place.name.partition(".")[0] or "urls")
        return cls(place, about, min(settings.max_bytes, settings.urls.max_bytes), settings.urls)

    def entries(self) -> Iterator[Entry]:
        """See Source.entries; no address is asked."""
        for row in rows(self.place, Columns(self.settings.url_column, self.settings.licence_column)):
            origin = f"{as_origin(row.file)}#{row.number:09d}"
            url, licence = printable(row.url), printable(row.licence)
            yield Entry(origin, f"{self.about.name}/{origin}", bytes=0, stamp="", url=url, licence=licence)

    def read(self, entries: Sequence[Entry]) -> Iterator[Fetched]:
        """See Source.read; downloads go on in a thread of their own while the caller decodes."""
        with _background() as run:
            download = run(_started(self.settings, self.max_bytes, entries))
            try:
                for _ in entries:
                    yield run(download.next())
            finally:
                run(download.close())


@contextmanager
def _background() -> Iterator[Callable[[Coroutine[Any, Any, T]], T]]:
    """Run an event loop in a thread; gives what runs a coroutine there and waits for it."""
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(DNS_THREADS))
    thread = Thread(target=loop.run_forever, name="urls", daemon=True)
    thread.start()
    try:
        yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _started(settings: UrlSettings, max_bytes: int, entries: Sequence[Entry]) -> _Download:
    """Open the client inside the loop that will use it."""
    web = Web(settings, max_bytes)
    await web.open()
    return _Download(web, entries)


class _Download:
    """Entries under way, handed on in order."""

    def __init__(self, web: Web, entries: Sequence[Entry]) -> None:
        self.web = web
        self.entries = enumerate(entries)
        self.room = Room(web.settings.buffer_bytes)
        self.under_way: deque[tuple[asyncio.Task[Fetched], Share]] = deque()
        self.pictures, self.bytes = 1, FIRST_GUESS_BYTES

    async def next(self) -> Fetched:
        """Give what became of the next entry."""
        self._start_more()
        task, share = self.under_way.popleft()
        fetched = await task
        share.clear()
        self.room.advance()
        if fetched.data:
            self.pictures, self.bytes = self.pictures + 1, self.bytes + len(fetched.data)
        return fetched

    def _start_more(self) -> None:
        """Start as many as half of the room holds, going by the mean size so far."""
        settings = self.web.settings
        most = min(settings.ahead, max(1, settings.buffer_bytes * self.pictures // (2 * self.bytes)))
        while len(self.under_way) < most and (item := next(self.entries, None)) is not None:
            share = Share(self.room, item[0])
            self.under_way.append((asyncio.create_task(self._fetch(item[1], share)), share))

    async def _fetch(self, entry: Entry, share: Share) -> Fetched:
        if not entry.url:
            return Fetched(entry, None, "no_url")
        while True:
            await self.room.enter(share.index)
            try:
                return Fetched(entry, await self.web.fetch(entry.url, share))
            except NoRoom:
                share.clear()
            except DecodeError as error:
                share.clear()
                return Fetched(entry, None, error.reason)

    async def close(self) -> None:
        """Drop what is under way and close the client."""
        for task, _ in self.under_way:
            task.cancel()
        await asyncio.gather(*(task for task, _ in self.under_way), return_exceptions=True)
        await self.web.close()
