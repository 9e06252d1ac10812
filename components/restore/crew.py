"""The workers of a job, started in rounds until every shard is done, by them or by whoever else works on it."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from components.backends import engine
from components.backends.jobs import Jobs, Left
from components.errors import SettingsError, WorkerError
from components.records import Progress
from components.restore.owner import gone
from components.restore.work import Served, Work, serve, serve_alone

if TYPE_CHECKING:
    from components.imaging.restorer import Restorer

KIND = "restore"
"""Of jobs; the name of the phase too."""
POLL_S = 1.0
"""How often others' shards and progress are looked at."""
STALLED = 4
"""Rounds of workers in a row in which nothing is finished and nobody is seen to die over a picture."""


@dataclass(frozen=True)
class Crew:
    """Workers of one job."""

    work: Work
    items: int
    jobs: Jobs
    engine: str
    """Address of a Ray cluster; empty for this machine."""
    restorer: Restorer | None
    """The model, where it is loaded already; then one worker in this process uses it."""
    progress: Progress

    def work_off(self) -> list[Served]:
        """Start workers until all shards are done, and wait for those that others have.

        Raises:
            WorkerError: workers die again and again.
            SettingsError: a cluster cannot reach the state database.
        """
        served: list[Served] = []
        known, stalled = None, 0
        while True:
            self.jobs.reclaim(self.work.job, gone)
            left = self.jobs.left(self.work.job)
            if not left.open and not left.leased:
                return served
            if not left.open:
                time.sleep(POLL_S)
                continue
            stalled = stalled + 1 if (left.done, left.deaths) == known else 0
            if stalled == STALLED:
                raise WorkerError(
                    f"{STALLED} rounds of workers ended without a result, {left.open} shards are left. Is there enough memory "
                    "for restore.workers models? Run the same command again: it goes on from here."
                )
            known = (left.done, left.deaths)
            served += self._round(left)

    def _round(self, left: Left) -> list[Served]:
        """Start workers once; those that die are seen by the shards that they leave."""
        work = self.work
        workers = 1 if self.restorer else work.settings.workers or max(1, _gpus())
        if workers == 1 and not self.engine:
            counted = _Counter(left.done_items, self.items, self.progress)
            load = partial(work.model.load, batch=work.settings.batch)
            return [serve(work, lambda: self.restorer or load(), counted)]
        self._check_reach()
        slots = [replace(work, number=number) for number in range(min(workers, left.open))]
        with self._watched():
            found = engine.map_shards(serve_alone, slots, workers=len(slots), address=self.engine, on_crash=_dead)
        return [one for one in found if one is not None]

    def _check_reach(self) -> None:
        if self.engine not in ("", "ray") and self.work.state.startswith("sqlite"):
            raise SettingsError(
                f"Workers on the cluster {self.engine} cannot reach the SQLite state database of this machine. "
                "Set backend.state to a PostgreSQL URL."
            )

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Tell progress shard by shard while workers are in other processes."""
        over, told = threading.Event(), -1
        context = contextvars.copy_context()

        def tell() -> None:
            nonlocal told
            if (done := self.jobs.left(self.work.job).done_items) != told:
                told = done
                context.run(self.progress, KIND, done, self.items)

        def watch() -> None:
            while not over.wait(POLL_S):
                tell()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        tell()


class _Counter:
    """Tells progress picture by picture."""

    def __init__(self, done: int, total: int, progress: Progress) -> None:
        self.done, self.total, self.progress = done, total, progress

    def __call__(self, more: int) -> None:
        self.done += more
        self.progress(KIND, min(self.done, self.total), self.total)


def _dead(_: Work) -> Served | None:
    """What became of a worker that died twice: its shard is taken by the next."""
    return None


def _gpus() -> int:
    import torch  # not where the number of workers is said: the parent stays small

    return torch.cuda.device_count()
