"""Uncompressed tar shards of pictures, readable by WebDataset and by (offset, length)."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from components.backends.storage import Storage, file_sha256


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
    with tempfile.TemporaryDirectory(prefix="lucidflux-shard-") as folder:
        path = Path(folder) / "shard.tar"
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
