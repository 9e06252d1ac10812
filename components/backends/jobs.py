"""Long jobs in the state database: what was asked for, and which worker has which shard of it.

A worker takes a shard for a time, its lease, and renews it while it lives. Each taking has a number of its own, the fence;
a shard is finished only by the newest one, so that a worker that was thought dead changes nothing when it comes back.
Time is the database's, because machines' clocks differ. SQLite serves processes of one machine, PostgreSQL any number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import Field
from sqlalchemy import Float, func, insert, literal_column, or_, select, update
from sqlalchemy.exc import IntegrityError

from components.backends.job_tables import JOBS, NOWHERE, SECONDS, SHARDS, open_engine
from components.backends.state import asked, now
from components.errors import RegistryError, suggest
from components.records import Record

JobState = Literal["open", "finished", "failed"]

ROWS_AT_ONCE = 500
"""Shards of one insert."""


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
        self._engine = open_engine(url)
        self._now: Any = literal_column(SECONDS[self._engine.dialect.name], Float)

    def record(self, job: Job, shards: Sequence[Shard]) -> Job:
        """Write down a new job; of one that is known already, only the run changes.

        Returns:
            The job as it is recorded.
        """
        stamp = now()
        given = job.model_dump(mode="json") | {"created": stamp, "updated": stamp}
        with asked("record a job"):
            try:
                with self._engine.begin() as connection:
                    connection.execute(insert(JOBS).values(**given))
                    rows = [_open(job.id, number, shard) for number, shard in enumerate(shards)]
                    for start in range(0, len(rows), ROWS_AT_ONCE):
                        connection.execute(insert(SHARDS), rows[start : start + ROWS_AT_ONCE])
            except IntegrityError:
                self.visit(job.id, job.run)
        return self.find(job.id)

    def find(self, name: str) -> Job:
        """Give a job by its id, the beginning of it, or `run:ID` of the flow run that worked on it last.

        Raises:
            RegistryError: nothing, or more than one job, has that name.
        """
        run = name.removeprefix("run:") if name.startswith("run:") else ""
        named = JOBS.c.run == run if run else JOBS.c.id.startswith(name, autoescape=True)
        with asked("find a job"), self._engine.begin() as connection:
            found = connection.execute(select(JOBS).where(named).order_by(JOBS.c.updated.desc()).limit(2)).mappings().all()
            if not found or not name or (len(found) > 1 and not run):
                known = connection.execute(select(JOBS.c.id).order_by(JOBS.c.updated.desc()).limit(8)).scalars()
                what = "more than one" if found and name else "no"
                raise RegistryError(f"There is {what} job '{name}'.{suggest(name, [one[:12] for one in known])}")
        return Job.model_validate(dict(found[0]))

    def visit(self, job: str, run: str) -> None:
        """Remember which flow run works on a job now; an empty one changes nothing."""
        if run:
            with asked("open a job"), self._engine.begin() as connection:
                connection.execute(update(JOBS).where(JOBS.c.id == job).values(run=run, updated=now()))

    def reopen(self, job: str) -> None:
        """Put every shard of a job that has ended back to be done; a worker that finds its results there keeps them."""
        with asked("open a job"), self._engine.begin() as connection:
            ended = update(JOBS).where(JOBS.c.id == job, JOBS.c.state != "open").values(state="open", updated=now())
            if connection.execute(ended).rowcount:
                again = {"state": "open", "owner": "", "deaths": 0, "at": NOWHERE, "suspects": {}}
                connection.execute(update(SHARDS).where(SHARDS.c.job == job).values(**again, fence=SHARDS.c.fence + 1))

    def take(self, job: str, owner: str, lease_s: float) -> Lease | None:
        """Lease the first shard that nobody has, or whose lease ended; None when there is none.

        Args:
            job: id.
            owner: who takes it.
            lease_s: seconds until another may take it, unless renewed.
        """
        free = or_(SHARDS.c.state == "open", (SHARDS.c.state == "leased") & (SHARDS.c.expires < self._now))
        wanted = select(SHARDS).where(SHARDS.c.job == job, free).order_by(SHARDS.c.number).limit(1)
        with asked("lease a shard"), self._engine.begin() as connection:
            row = connection.execute(wanted.with_for_update(skip_locked=True)).mappings().first()
            if row is None:
                return None
            suspects = {int(item): deaths for item, deaths in row["suspects"].items()}
            died = row["state"] == "leased"
            if died and row["at"] != NOWHERE:
                suspects[row["at"]] = suspects.get(row["at"], 0) + 1
            lease = Lease(job, row["number"], row["plan"], row["items"], row["fence"] + 1, row["deaths"] + died, suspects)
            values = {"state": "leased", "owner": owner, "fence": lease.fence, "deaths": lease.deaths, "at": NOWHERE}
            connection.execute(
                update(SHARDS)
                .where(SHARDS.c.job == job, SHARDS.c.number == lease.number)
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
        return self._change(lease, state="open", owner="", at=NOWHERE)

    def reclaim(self, job: str, gone: Callable[[str], bool]) -> int:
        """End the leases of owners that are known to be dead, and say how many there were."""
        leased = (SHARDS.c.job == job, SHARDS.c.state == "leased")
        with asked("look for dead workers"), self._engine.begin() as connection:
            owners = connection.execute(select(SHARDS.c.owner).where(*leased, SHARDS.c.expires >= self._now).distinct())
            dead = [owner for owner in owners.scalars().all() if gone(owner)]
            if not dead:
                return 0
            ended = update(SHARDS).where(*leased, SHARDS.c.owner.in_(dead)).values(expires=0.0)
            return int(connection.execute(ended).rowcount)

    def left(self, job: str) -> Left:
        """Count shards by state."""
        live = (SHARDS.c.state == "leased") & (SHARDS.c.expires >= self._now)
        sums = (func.count(), func.sum(SHARDS.c["items"]))
        hurt = select(SHARDS.c.suspects).where(SHARDS.c.job == job, SHARDS.c.state != "done", SHARDS.c.deaths > 0)
        grouped = select(SHARDS.c.state, live.label("live"), *sums).where(SHARDS.c.job == job).group_by(SHARDS.c.state, live)
        with asked("count shards"), self._engine.begin() as connection:
            rows = connection.execute(grouped).all()
            deaths = sum(sum(suspects.values()) for suspects in connection.execute(hurt).scalars())
        done = [row for row in rows if row[0] == "done"]
        leased = sum(row[2] for row in rows if row[1])
        finished = sum(row[2] for row in done)
        return Left(sum(row[2] for row in rows) - finished - leased, leased, finished, sum(int(row[3]) for row in done), deaths)

    def results(self, job: str) -> list[str]:
        """Keys of the parts that finished shards left, in their order."""
        wanted = select(SHARDS.c.result).where(SHARDS.c.job == job, SHARDS.c.state == "done").order_by(SHARDS.c.number)
        with asked("list results"), self._engine.begin() as connection:
            return list(connection.execute(wanted).scalars())

    def close(self, job: str, state: JobState, counts: Mapping[str, int]) -> Job:
        """Write down how a job ended."""
        with asked("close a job"), self._engine.begin() as connection:
            values = {"state": state, "counts": dict(counts), "updated": now()}
            connection.execute(update(JOBS).where(JOBS.c.id == job).values(**values))
        return self.find(job)

    def _change(self, lease: Lease, **values: Any) -> bool:
        """Change a shard that is still this worker's."""
        mine = (SHARDS.c.job == lease.job, SHARDS.c.number == lease.number, SHARDS.c.fence == lease.fence)
        with asked("change a shard"), self._engine.begin() as connection:
            changed = connection.execute(update(SHARDS).where(*mine, SHARDS.c.state == "leased").values(**values))
            return changed.rowcount == 1


def _open(job: str, number: int, shard: Shard) -> dict[str, Any]:
    fresh = {"state": "open", "owner": "", "expires": 0.0, "fence": 0, "deaths": 0, "at": NOWHERE, "suspects": {}, "result": ""}
    return {"job": job, "number": number, "plan": shard.plan, "items": shard.items, **fresh}
