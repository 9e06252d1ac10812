"""Scores that are known, in one SQLite file that many processes write and a killed one cannot spoil.

A score is kept under everything it depends on. The file belongs on a local disk: SQLite's locks are not safe on all shared ones.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from components.errors import StorageError

WAIT_S = 60.0
"""How long a writer waits for the others; each holds the file for milliseconds."""
_TABLE = """
create table if not exists scores (key text primary key, value real, reason text not null, format text not null) without rowid
"""


class Known(NamedTuple):
    """A score that was made before."""

    value: float
    """NaN where the metric says nothing."""
    reason: str
    """Why it says nothing; empty beside a number."""
    format: str = ""
    """Of the picture's file."""


class Kept:
    """An opened file of scores."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        """Take what `opened` made."""
        self.connection, self.path = connection, path

    def get(self, key: str) -> Known | None:
        """Look one score up; raises StorageError."""
        with _told(self.path):
            row = self.connection.execute("select value, reason, format from scores where key = ?", (key,)).fetchone()
        return None if row is None else Known(math.nan if row[0] is None else row[0], *row[1:])

    def put(self, scores: dict[str, Known]) -> None:
        """Write scores, all or none; raises StorageError."""
        rows = [(key, None if math.isnan(known.value) else known.value, *known[1:]) for key, known in scores.items()]
        with _told(self.path), self.connection:
            self.connection.executemany("insert or replace into scores values (?, ?, ?, ?)", rows)


@contextmanager
def opened(path: Path) -> Iterator[Kept]:
    """Open the file, or make it.

    Raises:
        StorageError: it is no such file, or cannot be written.
    """
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=WAIT_S)
    try:
        with _told(path), connection:
            connection.execute(_TABLE)
        yield Kept(connection, path)
    finally:
        connection.close()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StorageError(
            f"Cannot use {path} to keep scores: {error}. Free space, or name another file. "
            "It may be deleted: then every score is made anew."
        ) from error
