"""Uncompressed tar shards of pictures, readable by WebDataset and by (offset, length)."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable
from typing import NamedTuple

from components.backends.storage import Storage


class Placed(NamedTuple):
    """Where one picture's bytes lie."""

    shard: str
    offset: int
    length: int


def write_shard(store: Storage, members: Iterable[tuple[str, bytes]]) -> list[Placed]:
    """Put pictures into one tar named by its content.

    The headers carry no time, owner or machine, so the same members give the same bytes.

    Args:
        store: receives `shards/<sha256>.tar`.
        members: (file name, bytes); WebDataset takes what stands before the first dot as the key.

    Returns:
        One place per member, in order; empty for no member.
    """
    buffer = io.BytesIO()
    spans: list[tuple[int, int]] = []
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
            padded = -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
            spans.append((buffer.tell() - padded, len(data)))
    if not spans:
        return []
    content = buffer.getvalue()
    key = f"shards/{hashlib.sha256(content).hexdigest()}.tar"
    if not store.exists(key):
        store.put(key, content)
    return [Placed(key, offset, length) for offset, length in spans]
