"""Worker processes on this machine: one pipe each, so that it is always known which job a dead one had.

A worker ends with its parent, however that dies: it watches a pipe that only the parent holds open. Processes are
spawned, because a forked child would inherit the threads and locks of Prefect, DuckDB and torch.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import shutil
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, Self, TypeVar

from components.errors import WorkerError

Job = TypeVar("Job")
Result = TypeVar("Result")

TRIES = 2
"""Processes that a job may kill before it counts as deadly; one alone may have been killed from outside."""
STARTS = 5
"""Processes in a row that may end before they are up."""
EXIT_S = 2.0
"""How long a process that closed its pipe may take to end by itself, so that its exit code is its own."""


class Answer(NamedTuple):
    """What became of a call that did not kill its process."""

    value: Any
    error: Exception | None = None
    trace: str = ""

    def result(self) -> Any:
        """Give the value, or raise what the call raised, with the worker's traceback as a note."""
        if self.error is None:
            return self.value
        self.error.add_note(f"In a worker:\n{self.trace}")
        raise self.error


def packed(function: Callable[[Job], object], job: Job) -> bytes:
    """Write down a call for another process."""
    return pickle.dumps((function, job))


def unpacked(data: bytes) -> Answer:
    """Read an answer."""
    answer: Answer = pickle.loads(data)  # noqa: S301 (from our own worker)
    return answer


def answered(call: bytes) -> bytes:
    """Do a packed call and pack the answer; runs in the worker."""
    try:
        function, job = pickle.loads(call)  # noqa: S301 (from our own parent)
        return pickle.dumps(Answer(function(job)))
    except Exception as error:  # whatever it is, the parent raises it
        return _packed_error(error, traceback.format_exc())


def _packed_error(error: Exception, trace: str) -> bytes:
    """Some exceptions cannot be made again from what they pickle to; those go as their text."""
    try:
        data = pickle.dumps(Answer(None, error, trace))
        unpacked(data)
    except Exception:
        return pickle.dumps(Answer(None, RuntimeError(f"{type(error).__name__}: {error}"), trace))
    return data


class Worker:
    """One process that answers calls, one at a time, with a folder for temporary files that goes when it goes."""

    def __init__(self) -> None:
        """Start the process; it is up when it has said so with an empty message."""
        context = multiprocessing.get_context("spawn")
        self.up = False
        self.scratch = tempfile.mkdtemp(prefix="lucidflux-worker-")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self.scratch), daemon=True)
        self.process.start()
        theirs.close()

    def send(self, call: bytes) -> None:
        """Hand over a call; a worker that is dead by now is noticed when it is asked for the answer."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send_bytes(call)

    def receive(self) -> bytes:
        """Wait for a message; raises EOFError when the worker is dead."""
        try:
            return self.pipe.recv_bytes()
        except OSError as error:
            raise EOFError from error

    def code(self) -> int:
        """Bury a worker that is dead and give its exit code."""
        self.process.join(EXIT_S)
        return self.end()

    def end(self) -> int:
        """Kill the worker at once; gives the exit code."""
        self.process.kill()
        self.process.join()
        self.pipe.close()
        shutil.rmtree(self.scratch, ignore_errors=True)
        code = self.process.exitcode
        assert code is not None
        return code


def _serve(pipe: Connection, scratch: str) -> None:
    """Answer calls until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends the workers
    threading.Thread(target=_end_with_parent, args=(scratch,), daemon=True).start()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as Ray does: the processes are the parallel part
    tempfile.tempdir = scratch
    with suppress(EOFError, OSError):
        pipe.send_bytes(b"")
        while True:
            pipe.send_bytes(answered(pipe.recv_bytes()))
    _end_with_parent(scratch)


def _end_with_parent(scratch: str) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(1)


@dataclass
class _Task:
    """A job, and how many processes it has killed."""

    number: int
    job: Any
    deaths: int = 0


def spread(
    function: Callable[[Job], Result], jobs: Iterable[Job], *, workers: int, on_crash: Callable[[Job], Result] | None
) -> Iterator[tuple[int, Result]]:
    """Give (number of the job, result) as workers finish; see map_shards. Closing the iterator kills the workers."""
    return _Crew(function, jobs, on_crash).results(workers)


class _Crew:
    """Workers, each with the one job that it has."""

    def __init__(self, function: Callable[[Any], Any], jobs: Iterable[Any], on_crash: Callable[[Any], Any] | None) -> None:
        self.function = function
        self.tasks = (_Task(number, job) for number, job in enumerate(jobs))
        self.on_crash = on_crash
        self.busy: dict[Worker, _Task] = {}
        self.false_starts = 0

    def results(self, workers: int) -> Iterator[tuple[int, Any]]:
        try:
            for task in itertools.islice(self.tasks, workers):
                self.busy[Worker()] = task
            while self.busy:
                pipes: dict[Any, Worker] = {worker.pipe: worker for worker in self.busy}
                for pipe in wait(list(pipes)):
                    yield from self._heard(pipes[pipe])
        finally:
            for worker in self.busy:
                worker.end()

    def _heard(self, worker: Worker) -> Iterator[tuple[int, Any]]:
        """Take what a worker sends, or its end."""
        task = self.busy[worker]
        try:
            data = worker.receive()
        except EOFError:
            yield from self._lost(worker, task)
            return
        if not worker.up:
            worker.up, self.false_starts = True, 0
            worker.send(packed(self.function, task.job))
            return
        result = unpacked(data).result()
        self._give(worker)
        yield task.number, result

    def _give(self, worker: Worker) -> None:
        """Hand over the next job, or let the worker go."""
        task = next(self.tasks, None)
        if task is None:
            del self.busy[worker]
            worker.end()
        else:
            self.busy[worker] = task
            worker.send(packed(self.function, task.job))

    def _lost(self, worker: Worker, task: _Task) -> Iterator[tuple[int, Any]]:
        """Put another worker in the place of a dead one; it has the same job until that is known to be deadly."""
        del self.busy[worker]
        code = worker.code()
        if worker.up:
            task.deaths += 1
        else:
            self.false_starts = checked_start(self.false_starts, code)
        following: _Task | None = task
        if task.deaths == TRIES:
            if self.on_crash is None:
                raise deadly(task.job, ended(code))
            yield task.number, self.on_crash(task.job)
            following = next(self.tasks, None)
        if following is not None:
            self.busy[Worker()] = following


class Trials:
    """Calls that may be deadly, in a process apart that serves until one kills it; use it as a context manager."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self.worker: Worker | None = None

    def __enter__(self) -> Self:
        """Give the trials."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        if self.worker is not None:
            self.worker.end()

    def died(self, function: Callable[[Job], object], job: Job) -> int | None:
        """Give None when the call returns or raises; else the exit code of the process, minus a signal's number.

        Raises:
            WorkerError: processes end before they are up.
        """
        answer = self.ask(function, job)
        return answer if isinstance(answer, int) else None

    def ask(self, function: Callable[[Job], object], job: Job) -> Answer | int:
        """Give what the call gave or raised; or the exit code of the process that it killed, minus a signal's number.

        Raises:
            WorkerError: processes end before they are up.
        """
        false_starts = 0
        while True:
            self.worker = self.worker or Worker()
            try:
                if not self.worker.up:
                    self.worker.receive()
                    self.worker.up = True
                self.worker.send(packed(function, job))
                return unpacked(self.worker.receive())
            except EOFError:
                dead, self.worker = self.worker, None
                code = dead.code()
                if dead.up:
                    return code
                false_starts = checked_start(false_starts, code)


def checked_start(before: int, code: int) -> int:
    """Count one more process that ended before it was up; raises WorkerError when there were too many in a row."""
    if before + 1 == STARTS:
        raise WorkerError(
            f"Expected worker processes to start, {STARTS} in a row ended first ({ended(code)}). "
            "Is there memory for one? A script that starts workers needs: if __name__ == '__main__'."
        )
    return before + 1


def deadly(job: object, how: str) -> WorkerError:
    """Say which job killed its process again."""
    return WorkerError(
        f"Expected a result, but {TRIES} processes died one after the other ({how}) over {str(job)[:200]}. "
        "Is there enough memory for backend.workers processes? Run the same command again: it goes on from here."
    )


def ended(code: int) -> str:
    """Name an exit code for people."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
