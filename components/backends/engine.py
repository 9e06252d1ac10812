"""Map a function over shards in local processes.

The unit of work is a shard of many images. A worker that dies costs its shard, not the run: the
shard is tried once more alone, and when it kills its process again the caller decides what is left of it.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from components.records import Progress, quiet

Job = TypeVar("Job")
Result = TypeVar("Result")


def map_shards(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    workers: int,
    phase: str = "shards",
    progress: Progress = quiet,
    on_crash: Callable[[Job], Result] | None = None,
) -> list[Result]:
    """Call `function(job)` for every job and give the results in the order of the jobs.

    Args:
        function: importable by name, so that a fresh process can call it.
        jobs: picklable descriptions of shards.
        workers: processes; 1 runs in this process unless `on_crash` asks for protection.
        phase: name shown with the progress.
        progress: called after each finished job.
        on_crash: makes the result of a job that killed its process twice; without it the crash is raised.

    Raises:
        BrokenProcessPool: a job killed its process twice and there is no `on_crash`.
    """
    results: dict[int, Result] = {}
    if workers == 1 and on_crash is None:
        for index, job in enumerate(jobs):
            results[index] = function(job)
            progress(phase, index + 1, len(jobs))
        return [results[index] for index in range(len(jobs))]
    for index in _first_pass(function, jobs, workers, results, lambda done: progress(phase, done, len(jobs))):
        results[index] = _alone(function, jobs[index], on_crash)
        progress(phase, len(results), len(jobs))
    return [results[index] for index in range(len(jobs))]


def _first_pass(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int,
    results: dict[int, Result],
    report: Callable[[int], None],
) -> list[int]:
    """Fill `results` from one pool and give the indices that a broken pool left open."""
    futures: dict[Future[Result], int] = {}
    with _pool(min(workers, max(1, len(jobs)))) as pool:
        for index, job in enumerate(jobs):
            try:
                futures[pool.submit(function, job)] = index
            except BrokenProcessPool:
                break
        for future in as_completed(futures):
            try:
                results[futures[future]] = future.result()
            except BrokenProcessPool:
                continue
            report(len(results))
    return [index for index in range(len(jobs)) if index not in results]


def _alone(function: Callable[[Job], Result], job: Job, on_crash: Callable[[Job], Result] | None) -> Result:
    """Run one job in a process of its own."""
    try:
        with _pool(1) as pool:
            return pool.submit(function, job).result()
    except BrokenProcessPool:
        if on_crash is None:
            raise
        return on_crash(job)


def survives(function: Callable[[Job], object], job: Job) -> bool:
    """Say whether a call returns or raises instead of killing its process."""
    try:
        with _pool(1) as pool:
            pool.submit(function, job).result()
    except BrokenProcessPool:
        return False
    return True


def _pool(workers: int) -> ProcessPoolExecutor:
    # a forked child would inherit the threads and locks of Prefect and torch
    return ProcessPoolExecutor(max_workers=workers, mp_context=multiprocessing.get_context("spawn"))
