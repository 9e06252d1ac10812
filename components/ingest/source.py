"""What a source of pictures offers."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """One picture that a source lists, before it is read."""

    origin: str
    """Path inside the source; no machine path."""
    scene: str
    """What the picture shows; pictures of one scene never stand on both sides of the split."""
    bytes: int
    stamp: str
    """Changes when the picture changes (size and time of change, or a version); no part of any row."""


class Source(Protocol):
    """A listed collection of pictures; picklable, so that workers can read from it."""

    name: str

    def entries(self) -> list[Entry]:
        """List the pictures, sorted by origin; raises SourceError when there are none."""

    def read(self, origin: str) -> bytes:
        """Give the bytes of one picture; raises DecodeError when it cannot be read."""

    def licence(self, origin: str) -> str:
        """Name the licence of one picture."""
