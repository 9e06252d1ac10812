"""Long jobs in the state database: what was asked for, and which worker has which shard of it.

A worker takes a shard for a time, its lease, and renews it while it lives. Each taking has a number of its own, the fence;
a shard is finished only by the newest one, so that a worker that was thought dead changes nothing when it comes back.
Time is the database's, because machines' clocks differ. SQLite serves processes of one machine, PostgreSQL any number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

from pydantic import Field
from sqlalchemy import (
    JSON,
    Column,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    insert,
    literal_column,
    make_url,
    or_,
    select,
    update,
)
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from components.backends.state import now
from components.errors import RegistryError, suggest
from components.records import Record

JobState = Literal["open", "finished", "failed"]

BUSY_S = 60
"""How long SQLite waits for another process's transaction."""
ROWS_AT_ONCE = 500
"""Shards of one insert."""
_SECONDS = {"sqlite": "(julianday('now') - 2440587.5) * 86400.0", "postgresql": "extract(epoch from clock_timestamp())"}
"""Seconds since 1970 by the database's clock."""

_METADATA = MetaData()
_JOBS = Table(
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
_SHARDS = Table(
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
_NOWHERE = -1


class Job(Record):
    """What was asked for, with everything that decides the result pinned."""

    id: str
    """Hash of inputs, model version, settings and output: whoever asks for the same continues the same job."""
    kind: str
    inputs: tuple[str, ...]
    """Addresses as they were asked for."""
    output: str
    model: str
    """`NAME/version`: an alias is resolved once, when the job is made."""
    settings: dict[str, Any]
    items: int
    state: JobState = "open"
    counts: dict[str, int] = Field(default_factory=dict)
    run: str = ""
    """Id of the flow run that worked on it last."""
    created: str = ""
    """UTC, ISO 8601."""
    updated: str = ""


class Shard(NamedTuple):
    """A shard as it is planned."""

    plan: str
    """Key of the part that lists its items."""
    items: int


class Lease(NamedTuple):
    """A shard that a worker has."""

    job: str
    number: int
    plan: str
    items: int
    fence: int
    deaths: int
    """Workers that died over this shard."""
    suspects: dict[int, int]
    """Item -> workers that died at it, as far as they had said where they are."""


class Left(NamedTuple):
    """Shards of a job by state, and the items that are done."""

    open: int
    """To be had, those whose lease ended included."""
    leased: int
    done: int
    done_items: int
    deaths: int
    """Workers that died at an item of a shard that is not done, as far as they had said where they are."""


class Jobs:
    """The tables of jobs and shards."""

    def __init__(self, url: str) -> None:
        """Open the tables and make them when they are not there.

        Args:
            url: SQLAlchemy URL of SQLite or PostgreSQL.

        Raises:
            RegistryError: the database cannot be reached, or is of another kind.
        """
        self.url = url
        try:
            kind = make_url(url).get_backend_name()
            if kind not in _SECONDS:
                raise RegistryError(f"Expected SQLite or PostgreSQL as backend.state, got {kind}: shards cannot be leased there.")
            self._engine = _engine(url, kind)
            self._now: Any = literal_column(_SECONDS[kind], Float)
            with self._engine.begin() as connection:
                _METADATA.create_all(connection)
        except ImportError as error:
            raise RegistryError(
                f"The state database needs a driver that is not installed: {error}. Install it beside lucidflux."
            ) from error
        except SQLAlchemyError as error:
            raise RegistryError(
                f"Cannot open the state database: {type(error).__name__}. Check backend.state and that the server runs."
            ) from error

    def record(self, job: Job, shards: Sequence[Shard]) -> Job:
        """Write down a new job; of one that is known already, only the run changes.

        Returns:
            The job as it is recorded.
        """
        stamp = now()
        given = job.model_dump(mode="json") | {"created": stamp, "updated": stamp}
        with self._asked("record a job"):
            try:
                with self._engine.begin() as connection:
                    connection.execute(insert(_JOBS).values(**given))
                    rows = [_open(job.id, number, shard) for number, shard in enumerate(shards)]
                    for start in range(0, len(rows), ROWS_AT_ONCE):
                        connection.execute(insert(_SHARDS), rows[start : start + ROWS_AT_ONCE])
            except IntegrityError:
                self.visit(job.id, job.run)
        return self.find(job.id)

    def find(self, name: str) -> Job:
        """Give a job by its id, the beginning of it, or `run:ID` of the flow run that worked on it last.

        Raises:
            RegistryError: nothing, or more than one job, has that name.
        """
        run = name.removeprefix("run:") if name.startswith("run:") else ""
        named = _JOBS.c.run == run if run else _JOBS.c.id.startswith(name, autoescape=True)
        with self._asked("find a job"), self._engine.begin() as connection:
            found = connection.execute(select(_JOBS).where(named).order_by(_JOBS.c.updated.desc()).limit(2)).mappings().all()
            if not found or not name or (len(found) > 1 and not run):
                known = connection.execute(select(_JOBS.c.id).order_by(_JOBS.c.updated.desc()).limit(8)).scalars()
                what = "more than one" if found and name else "no"
                raise RegistryError(f"There is {what} job '{name}'.{suggest(name, [one[:12] for one in known])}")
        return Job.model_validate(dict(found[0]))

    def visit(self, job: str, run: str) -> None:
        """Remember which flow run works on a job now; an empty one changes nothing."""
        if run:
            with self._asked("open a job"), self._engine.begin() as connection:
                connection.execute(update(_JOBS).where(_JOBS.c.id == job).values(run=run, updated=now()))

    def reopen(self, job: str) -> None:
        """Put every shard of a job that has ended back to be done; a worker that finds its results there keeps them."""
        with self._asked("open a job"), self._engine.begin() as connection:
            ended = update(_JOBS).where(_JOBS.c.id == job, _JOBS.c.state != "open").values(state="open", updated=now())
            if connection.execute(ended).rowcount:
                again = {"state": "open", "owner": "", "deaths": 0, "at": _NOWHERE, "suspects": {}}
                connection.execute(update(_SHARDS).where(_SHARDS.c.job == job).values(**again, fence=_SHARDS.c.fence + 1))

    def take(self, job: str, owner: str, lease_s: float) -> Lease | None:
        """Lease the first shard that nobody has, or whose lease ended; None when there is none.

        Args:
            job: id.
            owner: who takes it.
            lease_s: seconds until another may take it, unless renewed.
        """
        free = or_(_SHARDS.c.state == "open", (_SHARDS.c.state == "leased") & (_SHARDS.c.expires < self._now))
        wanted = select(_SHARDS).where(_SHARDS.c.job == job, free).order_by(_SHARDS.c.number).limit(1)
        with self._asked("lease a shard"), self._engine.begin() as connection:
            row = connection.execute(wanted.with_for_update(skip_locked=True)).mappings().first()
            if row is None:
                return None
            suspects = {int(item): deaths for item, deaths in row["suspects"].items()}
            died = row["state"] == "leased"
            if died and row["at"] != _NOWHERE:
                suspects[row["at"]] = suspects.get(row["at"], 0) + 1
            lease = Lease(job, row["number"], row["plan"], row["items"], row["fence"] + 1, row["deaths"] + died, suspects)
            values = {"state": "leased", "owner": owner, "fence": lease.fence, "deaths": lease.deaths, "at": _NOWHERE}
            connection.execute(
                update(_SHARDS)
                .where(_SHARDS.c.job == job, _SHARDS.c.number == lease.number)
                .values(**values, suspects=suspects, expires=self._now + lease_s)
            )
        return lease

    def renew(self, lease: Lease, lease_s: float) -> bool:
        """Keep a shard for longer; False when it is another worker's by now."""
        return self._change(lease, expires=self._now + lease_s)

    def stand(self, lease: Lease, item: int) -> bool:
        """Say which item is worked on, in case it kills the worker; False when the shard is another worker's by now."""
        return self._change(lease, at=item)

    def commit(self, lease: Lease, result: str) -> bool:
        """Finish a shard; False when it is another worker's by now, whose result counts.

        Args:
            lease: as it was taken.
            result: key of the part with a row for each item.
        """
        return self._change(lease, state="done", result=result, owner="")

    def release(self, lease: Lease) -> bool:
        """Give a shard back unfinished, by a worker that is well."""
        return self._change(lease, state="open", owner="", at=_NOWHERE)

    def reclaim(self, job: str, gone: Callable[[str], bool]) -> int:
        """End the leases of owners that are known to be dead, and say how many there were."""
        leased = (_SHARDS.c.job == job, _SHARDS.c.state == "leased")
        with self._asked("look for dead workers"), self._engine.begin() as connection:
            owners = connection.execute(select(_SHARDS.c.owner).where(*leased, _SHARDS.c.expires >= self._now).distinct())
            dead = [owner for owner in owners.scalars().all() if gone(owner)]
            if not dead:
                return 0
            ended = update(_SHARDS).where(*leased, _SHARDS.c.owner.in_(dead)).values(expires=0.0)
            return int(connection.execute(ended).rowcount)

    def left(self, job: str) -> Left:
        """Count shards by state."""
        live = (_SHARDS.c.state == "leased") & (_SHARDS.c.expires >= self._now)
        sums = (func.count(), func.sum(_SHARDS.c["items"]))
        hurt = select(_SHARDS.c.suspects).where(_SHARDS.c.job == job, _SHARDS.c.state != "done", _SHARDS.c.deaths > 0)
        grouped = select(_SHARDS.c.state, live.label("live"), *sums).where(_SHARDS.c.job == job).group_by(_SHARDS.c.state, live)
        with self._asked("count shards"), self._engine.begin() as connection:
            rows = connection.execute(grouped).all()
            deaths = sum(sum(suspects.values()) for suspects in connection.execute(hurt).scalars())
        done = [row for row in rows if row[0] == "done"]
        leased = sum(row[2] for row in rows if row[1])
        finished = sum(row[2] for row in done)
        return Left(sum(row[2] for row in rows) - finished - leased, leased, finished, sum(int(row[3]) for row in done), deaths)

    def results(self, job: str) -> list[str]:
        """Keys of the parts that finished shards left, in their order."""
        wanted = select(_SHARDS.c.result).where(_SHARDS.c.job == job, _SHARDS.c.state == "done").order_by(_SHARDS.c.number)
        with self._asked("list results"), self._engine.begin() as connection:
            return list(connection.execute(wanted).scalars())

    def close(self, job: str, state: JobState, counts: Mapping[str, int]) -> Job:
        """Write down how a job ended."""
        with self._asked("close a job"), self._engine.begin() as connection:
            values = {"state": state, "counts": dict(counts), "updated": now()}
            connection.execute(update(_JOBS).where(_JOBS.c.id == job).values(**values))
        return self.find(job)

    def _change(self, lease: Lease, **values: Any) -> bool:
        """Change a shard that is still this worker's."""
        mine = (_SHARDS.c.job == lease.job, _SHARDS.c.number == lease.number, _SHARDS.c.fence == lease.fence)
        with self._asked("change a shard"), self._engine.begin() as connection:
            changed = connection.execute(update(_SHARDS).where(*mine, _SHARDS.c.state == "leased").values(**values))
            return changed.rowcount == 1

    @contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        """Turn what the database says into a sentence."""
        try:
            yield
        except SQLAlchemyError as error:
            raise RegistryError(
                f"The state database could not {what}: {type(error).__name__}: {getattr(error, 'orig', error)}. "
                "Check backend.state and that the server runs; run the same command again: it goes on from here."
            ) from error


def _open(job: str, number: int, shard: Shard) -> dict[str, Any]:
    fresh = {"state": "open", "owner": "", "expires": 0.0, "fence": 0, "deaths": 0, "at": _NOWHERE, "suspects": {}, "result": ""}
    return {"job": job, "number": number, "plan": shard.plan, "items": shard.items, **fresh}


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
