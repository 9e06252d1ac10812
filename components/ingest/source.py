"""What a source of pictures offers, and how people name one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from urllib.parse import parse_qsl

from components.errors import DecodeError, SourceError


class Entry(NamedTuple):
    """One picture that a source lists, before it is read."""

    origin: str
    """Name inside the source, given to one picture only; no machine path."""
    scene: str
    """What the picture shows; pictures of one scene never stand on both sides of the split."""
    bytes: int
    """Size as listed; 0 where the list does not say."""
    stamp: str
    """Changes when the picture changes (size and time of change, or a version); no part of any row."""
    at: str = ""
    """Where the source finds it again, for example an offset; no part of any row."""
    url: str = ""
    """Address on the web, where it has one."""
    licence: str = ""
    """Licence of this picture; empty is the source's."""


class Fetched(NamedTuple):
    """What became of reading one entry."""

    entry: Entry
    data: bytes | None
    """Content of the file; None when it could not be read."""
    reason: str = ""
    """Short snake_case verdict when there is no data, e.g. `unreadable` or `http_404`."""


class Source(Protocol):
    """A listed collection of pictures; picklable, so that workers can read from it."""

    @property
    def about(self) -> About:
        """Name, licence and trust."""

    def entries(self) -> Iterator[Entry]:
        """List the pictures, in the same order each time; raises SourceError when there are none."""

    def read(self, entries: Sequence[Entry]) -> Iterator[Fetched]:
        """Give what became of each entry, once each, in their order; never raises for one picture."""


@dataclass(frozen=True)
class About:
    """What is said of a whole source; it goes into the row of every picture."""

    name: str
    licence: str = "own"
    trusted: bool = False
    """Its pictures skip the quality rank, never the safety and duplicate checks (paper section 3.4: LSDIR's 84 K)."""


@dataclass(frozen=True)
class Address:
    """A source as people write it: `KIND:WHERE?name=…&licence=…&trusted=true`."""

    kind: str
    where: str
    name: str = ""
    """Empty: the source finds one itself."""
    licence: str = "own"
    trusted: bool = False

    def about(self, name: str) -> About:
        """Take what the address says, and `name` where it says no other."""
        return About(self.name or name, self.licence, self.trusted)


def parse_address(text: str) -> Address:
    """Read `KIND:WHERE` or a plain path, with options after the last question mark.

    A question mark whose rest is not made of options belongs to the place, as in a file name.

    Raises:
        SourceError: an option has a value that it cannot have.
    """
    rest, mark, tail = text.rpartition("?")
    options = dict(parse_qsl(tail, keep_blank_values=True)) if mark else {}
    if not options or not set(options) <= {"name", "licence", "trusted"}:
        rest, options = text, {}
    if options.get("trusted", "true") not in ("true", "false"):
        raise SourceError(f"Expected trusted=true or trusted=false in '{text}', got '{options['trusted']}'.")
    kind, colon, where = rest.partition(":")
    if not colon or (len(kind) == 1 and where.startswith("\\")):
        kind, where = "folder", rest
    name = options.get("name", "")
    if "/" in name:
        raise SourceError(f"Expected a source's name without '/', got '{name}'.")
    return Address(kind, where, name, options.get("licence", "own"), options.get("trusted") == "true")


def read_each(read: Reader, entries: Sequence[Entry]) -> Iterator[Fetched]:
    """Read entries one by one; what `read` raises as DecodeError becomes the entry's reason."""
    for entry in entries:
        try:
            yield Fetched(entry, read(entry))
        except DecodeError as error:
            yield Fetched(entry, None, error.reason)


class Reader(Protocol):
    """Reads one entry; raises DecodeError when it cannot."""

    def __call__(self, entry: Entry, /) -> bytes:
        """Give the bytes."""
