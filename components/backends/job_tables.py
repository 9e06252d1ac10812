"""Tables of jobs and their shards in the state database, and how SQLite and PostgreSQL are opened for several writers."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Column, Float, ForeignKey, Integer, MetaData, String, Table, Text, create_engine, event, make_url
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from components.backends.state import opening
from components.errors import RegistryError

BUSY_S = 60
"""How long SQLite waits for another process's transaction."""
SECONDS = {"sqlite": "(julianday('now') - 2440587.5) * 86400.0", "postgresql": "extract(epoch from clock_timestamp())"}
"""Seconds since 1970 by the database's clock."""

_METADATA = MetaData()
JOBS = Table(
    "jobs",
    _METADATA,
    Column("id", String(64), primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("inputs", JSON, nullable=False),
    Column("output", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("items", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("counts", JSON, nullable=False),
    Column("run", String(200), nullable=False, index=True),
    Column("created", String(40), nullable=False),
    Column("updated", String(40), nullable=False),
)
SHARDS = Table(
    "job_shards",
    _METADATA,
    Column("job", String(64), ForeignKey("jobs.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("plan", Text, nullable=False),
    Column("items", Integer, nullable=False),
    Column("state", String(20), nullable=False, index=True),
    Column("owner", String(200), nullable=False),
    Column("expires", Float, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("deaths", Integer, nullable=False),
    Column("at", Integer, nullable=False),
    Column("suspects", JSON, nullable=False),
    Column("result", Text, nullable=False),
)
NOWHERE = -1
"""Place of a worker that has not said where it is."""


def open_engine(url: str) -> Engine:
    """Open the database and make the tables when they are not there.

    Args:
        url: SQLAlchemy URL of SQLite or PostgreSQL.

    Raises:
        RegistryError: the database cannot be reached, or is of another kind.
    """
    with opening():
        kind = make_url(url).get_backend_name()
        if kind not in SECONDS:
            raise RegistryError(f"Expected SQLite or PostgreSQL as backend.state, got {kind}: shards cannot be leased there.")
        engine = _engine(url, kind)
        _make_tables(engine)
        return engine


def _make_tables(engine: Engine) -> None:
    try:
        _METADATA.create_all(engine)
    except SQLAlchemyError:  # another process made them at the same time
        _METADATA.create_all(engine)


def _engine(url: str, kind: str) -> Engine:
    """An engine whose transactions on SQLite take the write lock first: one that reads and then writes would be refused."""
    if kind != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_S})

    @event.listens_for(engine, "connect")
    def by_hand(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver would begin transactions of its own, later and weaker

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
