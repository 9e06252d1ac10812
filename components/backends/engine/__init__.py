"""Map a function over shards, in local processes or on a Ray cluster.

The unit of work is a shard of many images. A worker that dies costs its shard, not the run: the shard is tried
once more in another process, and when it kills that one too the caller decides what is left of it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sized
from contextlib import closing
from typing import TypeVar

from components.backends.engine import cluster, processes
from components.backends.engine.processes import Trials
from components.records import Progress, quiet

__all__ = ["Trials", "map_shards"]

Job = TypeVar("Job")
Result = TypeVar("Result")


def map_shards(  # noqa: PLR0913 (options of one call, all with a default)
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    workers: int,
    address: str = "",
    total: int = 0,
    phase: str = "shards",
    progress: Progress = quiet,
    on_crash: Callable[[Job], Result] | None = None,
) -> list[Result]:
    """Call `function(job)` for every job and give the results in the order of the jobs.

    Jobs are taken as workers get free and forgotten when they are done: memory grows with the results, which are
    meant to be small, such as the key of a part.

    Args:
        function: importable by name, so that a fresh process can call it.
        jobs: picklable descriptions of shards; may be an iterator that makes them as it goes.
        workers: processes; 1 without `on_crash` runs in this process.
        address: empty for local processes; `ray` for a Ray of our own on this machine, stopped at the end; else a running
            cluster as `auto`, `HOST:PORT` or `ray://HOST:PORT`, of which every processor is used.
        total: number of jobs, where they cannot be counted; 0 while it is unknown.
        phase: name shown with the progress.
        progress: called after each finished job.
        on_crash: makes, in this process, the result of a job that killed its process twice; without it that is an error.

    Raises:
        WorkerError: a job killed its process twice and there is no `on_crash`, or workers cannot start.
        SettingsError: there is no cluster at the address, or Ray is not installed.
    """
    results: dict[int, Result] = {}
    total = total or (len(jobs) if isinstance(jobs, Sized) else 0)
    # closing: whatever is raised here or in `progress` stops the workers before it goes on
    with closing(_finished(function, jobs, workers, address, on_crash)) as finished:
        for number, result in finished:
            results[number] = result
            progress(phase, len(results), total)
    return [results[number] for number in range(len(results))]


def _finished(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    workers: int,
    address: str,
    on_crash: Callable[[Job], Result] | None,
) -> Generator[tuple[int, Result]]:
    """Give (number of the job, result) as they come."""
    if address:
        yield from cluster.spread(function, jobs, workers=workers, address=address, on_crash=on_crash)
    elif workers > 1 or on_crash is not None:
        yield from processes.spread(function, jobs, workers=workers, on_crash=on_crash)
    else:
        for number, job in enumerate(jobs):
            yield number, function(job)
