"""Uncompressed tar shards of pictures, readable by WebDataset and by (offset, length)."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from components.backends.scratch import scratch
from components.backends.storage import Storage, file_sha256

WINDOW_BYTES = 16 << 20


class Placed(NamedTuple):
    """Where one picture's bytes lie."""

    shard: str
    offset: int
    length: int


def write_shard(store: Storage, members: Iterable[tuple[str, bytes]]) -> list[Placed]:
    """Put pictures into one tar named by its content.

    The headers carry no time, owner or machine, so the same members give the same bytes. The tar grows on disk: only one
    member is in memory.

    Args:
        store: receives `shards/<sha256>.tar`.
        members: (file name, bytes); WebDataset takes what stands before the first dot as the key.

    Returns:
        One place per member, in order; empty for no member.
    """
    spans: list[tuple[int, int]] = []
    with scratch("shard") as folder:
        path = folder / "shard.tar"
        with tarfile.open(path, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name, data in members:
                header = tarfile.TarInfo(name)
                header.size = len(data)
                tar.addfile(header, io.BytesIO(data))
                padded = -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                spans.append((tar.offset - padded, len(data)))
        if not spans:
            return []
        key = f"shards/{file_sha256(path)}.tar"
        if not store.exists(key):
            store.put_file(key, path)
    return [Placed(key, offset, length) for offset, length in spans]


def write_shards(store: Storage, members: Iterable[tuple[str, bytes]], *, most_bytes: int) -> list[Placed]:
    """Put pictures into as many tars as their sizes ask for; one larger than `most_bytes` gets a tar of its own.

    Args:
        store: receives the tars.
        members: as `write_shard` takes them; read one by one, so that they may come from far away.
        most_bytes: bytes of pictures in one tar.
    """
    placed: list[Placed] = []
    waiting = iter(members)
    first = next(waiting, None)
    while first is not None:
        cut = _Cut(waiting, first, most_bytes)
        placed += write_shard(store, cut)
        first = cut.next
    return placed


class _Cut:
    """The members that fit into one tar; `next` is then the first that did not."""

    def __init__(self, waiting: Iterator[tuple[str, bytes]], first: tuple[str, bytes], most_bytes: int) -> None:
        self.waiting, self.most_bytes = waiting, most_bytes
        self.next: tuple[str, bytes] | None = first

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        size = 0
        while self.next is not None and (size == 0 or size + len(self.next[1]) <= self.most_bytes):
            size += len(self.next[1])
            yield self.next
            self.next = next(self.waiting, None)


def read_spans(store: Storage, shard: str, spans: Sequence[tuple[int, int]], *, window: int = WINDOW_BYTES) -> Iterator[bytes]:
    """Give the bytes of pictures of one shard, in few large reads.

    Args:
        store: holds the shard.
        shard: its key.
        spans: (offset, length) of each picture, by offset.
        window: most bytes of one read, unless one picture is larger.
    """
    start = 0
    while start < len(spans):
        offset, end = spans[start][0], start + 1
        while end < len(spans) and sum(spans[end]) - offset <= window:
            end += 1
        data = memoryview(store.read_range(shard, offset, sum(spans[end - 1]) - offset))
        for at, length in spans[start:end]:
            yield bytes(data[at - offset : at - offset + length])
        start = end
