"""The plan of a batch: inputs in shards, each with the name of its result, written as they are listed.

Nothing here grows with the number of pictures but the list of parts: names that are taken are kept in a file.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from components.backends import manifest
from components.backends.jobs import Shard
from components.backends.scratch import scratch
from components.backends.storage import Storage
from components.errors import LucidfluxError
from components.records import Progress, content_hash, quiet
from components.restore.inputs import Input

A = TypeVar("A")
B = TypeVar("B")

SUFFIX = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}
"""Suffix of a result by its format."""
LOOKING = 16
"""Files whose first bytes are read at once."""


@dataclass(frozen=True)
class Plan:
    """What is to be done, in parts of the object store."""

    shards: list[Shard]
    pictures: int

    @property
    def digest(self) -> str:
        """Hash of every input and every name."""
        return content_hash([shard.plan for shard in self.shards])


def make_plan(
    inputs: Iterable[Input],
    objects: Storage,
    *,
    kind: str,
    shard_pictures: int,
    head: Callable[[Input], bytes],
    progress: Progress = quiet,
) -> Plan:
    """Give each input a name of its own and write the shards.

    Args:
        inputs: as they are listed; one that comes twice is planned once.
        objects: receives the parts, each named by its content.
        kind: format of the results, a key of SUFFIX, or `keep`.
        shard_pictures: pictures of one shard.
        head: reads the first bytes of an input, for `keep`; may fail.
        progress: called after each shard.
    """
    shards: list[Shard] = []
    pictures = 0
    with scratch("plan") as folder, closing(Names(folder / "names.db")) as names:
        rows = _rows(inputs, names, kind, head)
        while shard := list(itertools.islice(rows, shard_pictures)):
            key = f"parts/restore/plans/{content_hash(shard)}.parquet"
            if not objects.exists(key):
                manifest.write_part(objects, key, "inputs", shard)
            shards.append(Shard(key, len(shard)))
            pictures += len(shard)
            progress("list", pictures, 0)
    return Plan(shards, pictures)


def _rows(inputs: Iterable[Input], names: Names, kind: str, head: Callable[[Input], bytes]) -> Iterator[dict[str, Any]]:
    fresh = (item for item in inputs if names.first(item.name))

    def looked(item: Input) -> tuple[Input, str]:
        return item, kind if kind != "keep" else _kept(head, item)

    with ThreadPoolExecutor(LOOKING if kind == "keep" else 1) as pool:
        for item, wanted in ahead(pool, looked, fresh, LOOKING):
            yield {**item._asdict(), "output": names.give(item.origin, wanted)}


def _kept(head: Callable[[Input], bytes], item: Input) -> str:
    """Format of a result that keeps its input's, by content as the decoder sees it; PNG where that cannot be written."""
    try:
        start = head(item)
    except (LucidfluxError, OSError):
        return "png"  # it will fail, with its reason, when it is read whole
    if start[:2] == b"\xff\xd8":
        return "jpeg"
    return "webp" if (start[:4], start[8:12]) == (b"RIFF", b"WEBP") else "png"


class Names:
    """Names that are taken, in a file: two results never share one."""

    def __init__(self, path: Path) -> None:
        """Start with none taken."""
        self._open = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._open.execute("pragma journal_mode=off")
        self._open.execute("pragma synchronous=off")
        self._open.execute("create table inputs (name text primary key) without rowid")
        self._open.execute("create table outputs (name text primary key, last integer) without rowid")
        self._open.execute("begin")

    def first(self, name: str) -> bool:
        """Say whether an input is new."""
        return self._open.execute("insert or ignore into inputs values (?)", (name,)).rowcount == 1

    def give(self, origin: str, kind: str) -> str:
        """Name a result after its input, with a number where the name is taken: `a.png`, `a-2.png`.

        Args:
            origin: relative path of the input.
            kind: key of SUFFIX.
        """
        stem, suffix = str(PurePosixPath(origin).with_suffix("")), SUFFIX[kind]
        plain = f"{stem}{suffix}"
        if self._take(plain):
            return plain
        (number,) = self._open.execute("select last from outputs where name = ?", (plain.lower(),)).fetchone()
        while True:
            number += 1
            if self._take(numbered := f"{stem}-{number}{suffix}"):
                self._open.execute("update outputs set last = ? where name = ?", (number, plain.lower()))
                return numbered

    def _take(self, name: str) -> bool:
        return self._open.execute("insert or ignore into outputs values (?, 1)", (name.lower(),)).rowcount == 1

    def close(self) -> None:
        """Let the file go."""
        self._open.close()


def ahead(pool: Executor, function: Callable[[A], B], items: Iterable[A], window: int) -> Iterator[B]:
    """Call a function for items in other threads and give the results in order; at most `window` are on the way.

    With a window of 0 each call is made when its result is asked for, in this thread.
    """
    if window == 0:
        yield from map(function, items)
        return
    waiting: deque[Future[B]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > window:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
