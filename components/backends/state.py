"""The platform's own small tables in SQLite or PostgreSQL; the one home of SQLAlchemy.

The ledger is append-only and hash-chained: each entry holds the hash of the one before, so a changed or
removed entry is found by `verify`.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import JSON, Column, Integer, MetaData, String, Table, Text, create_engine, delete, insert, make_url, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from components.errors import RegistryError
from components.records import Record, content_hash

Action = Literal["promoted", "refused", "rolled back"]
"""What an entry says was done."""

_METADATA = MetaData()
_LEDGER = Table(
    "ledger",
    _METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", String(40), nullable=False),
    Column("who", String(200), nullable=False),
    Column("action", String(20), nullable=False),
    Column("model", String(200), nullable=False),
    Column("version", Integer, nullable=False),
    Column("previous_version", Integer, nullable=True),
    Column("details", JSON, nullable=False),
    Column("reason", Text, nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
)
_INTENTS = Table(
    "intents",
    _METADATA,
    Column("model", String(200), primary_key=True),
    Column("aliases", JSON, nullable=False),
    Column("fields", JSON, nullable=False),
)
FIRST = "0" * 64
ATTEMPTS = 20


class Entry(Record):
    """One line of the ledger."""

    seq: int
    at: str
    """UTC, ISO 8601."""
    who: str
    action: Action
    model: str
    version: int
    previous_version: int | None
    """Champion before; None when there was none."""
    details: dict[str, Any]
    """Gate results and reports."""
    reason: str
    previous_hash: str
    hash: str

    def expected_hash(self) -> str:
        """Hash over everything but the hash."""
        return content_hash(self.model_dump(mode="json", exclude={"hash"}))


class Intent(Record):
    """A decision that is being carried out: aliases first, then its entry. What a killed process leaves is carried out later."""

    model: str
    aliases: dict[str, int]
    """Alias -> version that it will mean."""
    fields: dict[str, Any]
    """Of the entry, as `append` takes them, with the time."""


class Ledger:
    """What was promoted, refused and rolled back, in order."""

    def __init__(self, url: str) -> None:
        """Open the tables and make them when they are not there.

        Args:
            url: SQLAlchemy URL, for example sqlite:////home/me/.lucidflux/state.db.

        Raises:
            RegistryError: the database cannot be reached.
        """
        with opening():
            self.url, self._url = url, make_url(url)
            self._engine = create_engine(url)
            _METADATA.create_all(self._engine)

    def append(
        self,
        action: Action,
        *,
        who: str,
        model: str,
        version: int,
        previous_version: int | None,
        details: Mapping[str, Any],
        reason: str,
    ) -> Entry:
        """Add one entry at the end; two writers at once get two places, one after the other.

        Raises:
            RegistryError: the database refuses, or other writers were faster again and again.
        """
        fields = {
            "at": now(),
            "who": who,
            "action": action,
            "model": model,
            "version": version,
            "previous_version": previous_version,
            "details": dict(details),
            "reason": reason,
        }
        return self._append(fields)

    def _append(self, fields: Mapping[str, Any], *, closes: str = "") -> Entry:
        """Add an entry and, in the same transaction, forget the intent of a model."""
        for _ in range(ATTEMPTS):
            try:
                with self._engine.begin() as connection:
                    if closes:
                        connection.execute(delete(_INTENTS).where(_INTENTS.c.model == closes))
                    return _add(connection, fields)
            except IntegrityError:
                continue  # another writer took the place
            except SQLAlchemyError as error:
                raise RegistryError(f"Cannot write the ledger: {error}.") from error
        raise RegistryError(f"Cannot write the ledger: {ATTEMPTS} times another writer was faster. Try again.")

    def intend(self, intent: Intent) -> None:
        """Write down what is about to be done; only who holds `exclusive` may."""
        with asked("write an intent"), self._engine.begin() as connection:
            connection.execute(insert(_INTENTS).values(**intent.model_dump(mode="json")))

    def intended(self, model: str) -> Intent | None:
        """Give what was begun and not finished."""
        with asked("read an intent"), self._engine.connect() as connection:
            row = connection.execute(select(_INTENTS).where(_INTENTS.c.model == model)).mappings().first()
        return Intent.model_validate(dict(row)) if row else None

    def commit(self, intent: Intent) -> Entry:
        """Write the entry of an intent that was carried out."""
        return self._append(intent.fields, closes=intent.model)

    @contextmanager
    def exclusive(self, model: str) -> Iterator[None]:
        """Keep others from deciding about a model meanwhile; the lock ends with its process, however that ends.

        PostgreSQL locks by itself. Beside SQLite it is a locked file, which holds for the processes of one machine.
        """
        if self._url.get_backend_name() == "postgresql":
            with asked("lock"), self._engine.connect() as connection:
                key = int.from_bytes(hashlib.sha256(model.encode()).digest()[:8], "big", signed=True)
                connection.execute(text("select pg_advisory_lock(:key)"), {"key": key})
                try:
                    yield
                finally:
                    connection.execute(text("select pg_advisory_unlock(:key)"), {"key": key})
            return
        if self._url.get_backend_name() != "sqlite":
            raise RegistryError(
                f"Expected SQLite or PostgreSQL as backend.state, got {self._url.get_backend_name()}: it cannot be locked."
            )
        place = Path(self._url.database or "ledger").absolute()
        with place.with_name(f"{place.name}.{content_hash(model)[:12]}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def entries(self) -> list[Entry]:
        """Every entry, oldest first."""
        with asked("read the ledger"), self._engine.connect() as connection:
            rows = connection.execute(select(_LEDGER).order_by(_LEDGER.c.seq)).mappings()
            return [Entry.model_validate(dict(row)) for row in rows]

    def verify(self) -> int:
        """Check the chain and give the number of entries.

        Raises:
            RegistryError: names the first entry that was changed, or the place where one is missing.
        """
        previous, entries = FIRST, self.entries()
        for place, entry in enumerate(entries, start=1):
            if entry.seq != place or entry.previous_hash != previous:
                raise RegistryError(f"The ledger is broken before entry {entry.seq}: an entry is missing or was changed.")
            if entry.hash != entry.expected_hash():
                raise RegistryError(f"The ledger is broken at entry {entry.seq}: it was changed.")
            previous = entry.hash
        return len(entries)


@contextmanager
def opening() -> Iterator[None]:
    """Turn what goes wrong while a state database is opened into a sentence."""
    try:
        yield
    except ImportError as error:
        raise RegistryError(
            f"The state database needs a driver that is not installed: {error}. Install it beside lucidflux."
        ) from error
    except SQLAlchemyError as error:
        raise RegistryError(
            f"Cannot open the state database: {type(error).__name__}. Check backend.state and that the server runs."
        ) from error


@contextmanager
def asked(what: str) -> Iterator[None]:
    """Turn what a state database says into a sentence, without the values that it was given."""
    try:
        yield
    except SQLAlchemyError as error:
        raise RegistryError(
            f"The state database could not {what}: {type(error).__name__}: {getattr(error, 'orig', error)}. "
            "Check backend.state and that the server runs; run the same command again: it goes on from here."
        ) from error


def now() -> str:
    """UTC, ISO 8601, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _add(connection: Connection, fields: Mapping[str, Any]) -> Entry:
    last = connection.execute(select(_LEDGER.c.seq, _LEDGER.c.hash).order_by(_LEDGER.c.seq.desc()).limit(1)).first()
    seq, previous = (last.seq + 1, last.hash) if last else (1, FIRST)
    entry = Entry(seq=seq, previous_hash=previous, hash="", **fields)
    entry = entry.model_copy(update={"hash": entry.expected_hash()})
    connection.execute(insert(_LEDGER).values(**entry.model_dump(mode="json")))
    return entry
