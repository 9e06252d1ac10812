"""Members of a tar by their headers alone: no content is read but that of small notes."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from typing import IO, NamedTuple, cast

from components.backends.storage import Storage

MOST_BYTES = 1 << 20
"""Longest piece that is read at once; an extended header or a note that claims more is not believed."""


class Member(NamedTuple):
    """One member that stands wholly inside its tar."""

    name: str
    offset: int
    """Of its content."""
    bytes: int
    plain: bool
    """A file; not a link, a device, a pipe or a file with holes."""


class TarCut(Exception):
    """The tar stops before its end mark, or goes on with something that is no header."""

    def __init__(self, offset: int, name: str = "") -> None:
        """Keep where it stops and, where it is known, the member that is cut."""
        super().__init__(f"cut at byte {offset}")
        self.offset = offset
        self.name = name


class RangedFile:
    """What tarfile needs of a file, over ranges of an object, with one block kept."""

    def __init__(self, store: Storage, key: str, size: int, *, block: int) -> None:
        """Take the size as listed.

        Args:
            store: where the tar lies.
            key: its key.
            size: its length in bytes.
            block: bytes asked for at once; small for a disk, larger where each request costs.
        """
        self.store, self.key, self.size, self.block = store, key, size, block
        self.at = 0
        self.kept, self.kept_at = b"", 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to an offset; only counted from the start."""
        if whence != os.SEEK_SET or offset < 0:
            raise tarfile.ReadError(f"no offset {offset}")
        self.at = offset
        return offset

    def tell(self) -> int:
        """Give the present offset."""
        return self.at

    def read(self, count: int = -1) -> bytes:
        """Give up to `count` bytes; refuses more than MOST_BYTES."""
        if not 0 <= count <= MOST_BYTES:
            raise tarfile.ReadError(f"a header asks for {count} bytes")
        end = min(self.at + count, self.size)
        if end <= self.at:
            return b""
        if not (self.kept_at <= self.at and end <= self.kept_at + len(self.kept)):
            self.kept = self.store.read_range(self.key, self.at, max(end - self.at, min(self.block, self.size - self.at)))
            self.kept_at = self.at
        data = self.kept[self.at - self.kept_at : end - self.kept_at]
        self.at = end
        return data


def members(file: RangedFile) -> Iterator[Member]:
    """Give the members in their order; folders are left out.

    Raises:
        TarCut: after the last whole member, when the tar is not whole.
    """
    offset = 0
    try:
        with tarfile.TarFile(fileobj=cast("IO[bytes]", file), mode="r") as tar:
            while (info := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]
                if info.size < 0 or tar.offset <= offset:
                    raise TarCut(offset)
                if info.isreg() and info.offset_data + info.size > file.size:
                    raise TarCut(offset, info.name)
                offset = tar.offset
                if not info.isdir():
                    yield Member(info.name, info.offset_data, info.size, plain=info.isfile() and not info.issparse())
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise TarCut(offset) from error
    _check_end(file, offset)


def _check_end(file: RangedFile, offset: int) -> None:
    """Require the block of zeros that ends a tar, since tarfile takes anything for an end."""
    file.seek(offset)
    block = file.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE or any(block):
        raise TarCut(offset)
