"""The same map on a Ray cluster, for collections that one machine is too small for; the one home of ray.

A cluster's nodes need the same Python packages (the program itself is sent along) and must reach the sources and the
object store under the same addresses, with credentials of their own.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import components
import models
from components.backends.engine.processes import TRIES, answered, deadly, packed, unpacked
from components.errors import SettingsError, WorkerError

Job = TypeVar("Job")
Result = TypeVar("Result")

LOCAL = "ray"
"""Address that means a Ray of our own."""
IN_FLIGHT = 2
"""Jobs handed out per processor: one that runs and one that waits."""
CONNECT_S = 10
"""How long a cluster may take to take a connection."""
STORE_BYTES = 80 << 20
"""Shared memory of a Ray of our own; calls and answers are small, Ray refuses less than 75 MiB."""


def spread(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    workers: int,
    address: str,
    on_crash: Callable[[Job], Result] | None,
) -> Iterator[tuple[int, Result]]:
    """Give (number of the job, result) as they come; see map_shards. Closing the iterator gives the cluster up."""
    tasks = enumerate(jobs)
    with _connected(address, workers) as (ray, processors):
        call = ray.remote(num_cpus=1, max_retries=TRIES - 1)(answered)
        pending: dict[Any, tuple[int, Job]] = {}
        try:
            while True:
                for number, job in itertools.islice(tasks, IN_FLIGHT * processors - len(pending)):
                    pending[call.remote(packed(function, job))] = (number, job)
                if not pending:
                    return
                done, _ = ray.wait(list(pending))
                for reference in done:
                    number, job = pending.pop(reference)
                    yield number, _result(ray, reference, job, on_crash)
        finally:
            for reference in pending:
                ray.cancel(reference, force=True)


def _result(ray: Any, reference: Any, job: Job, on_crash: Callable[[Job], Result] | None) -> Result:
    """Wait for one answer; a job that killed its processes goes to `on_crash`."""
    deaths = (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError)
    try:
        data = ray.get(reference)
    except deaths as error:
        if on_crash is None:
            raise deadly(job, _line(error)) from error
        return on_crash(job)
    except ray.exceptions.RayError as error:
        raise WorkerError(
            f"Expected the Ray cluster to run a job, it could not: {_line(error)}. "
            "Do its nodes have the packages of this program's lock?"
        ) from error
    result: Result = unpacked(data).result()
    return result


@contextmanager
def _connected(address: str, workers: int) -> Iterator[tuple[Any, int]]:
    """Join a cluster or start one; gives the module and how many processors there are."""
    ray = _ray()
    if ray.is_initialized():  # by whoever embeds this program
        yield ray, max(workers, _processors(ray))
        return
    try:
        _reach(address)
        with _own_signals():
            ray.init(**_arguments(address, workers))
    except (OSError, RuntimeError, ValueError, ImportError, ray.exceptions.RayError) as error:
        raise SettingsError(
            f"Expected a Ray cluster at '{address}', cannot join one: {_line(error)}. "
            f"Set backend.engine to HOST:PORT of a running one, to '{LOCAL}' to start one here, or to nothing for processes."
        ) from error
    try:
        yield ray, workers if address == LOCAL else max(workers, _processors(ray))
    finally:
        with _own_signals():
            ray.shutdown()


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when ray is imported and by what it starts
    try:
        import ray
    except ImportError as error:
        raise SettingsError(
            "backend.engine names a Ray cluster, and Ray is not installed. "
            "Install it with: pip install 'lucidflux[ray]', or set backend.engine to nothing for local processes."
        ) from error
    return ray


def _reach(address: str) -> None:
    """Connect and hang up; raises OSError. Ray itself would try for minutes."""
    place = urlsplit(address if "://" in address else f"//{address}")
    if place.hostname and place.port:
        socket.create_connection((place.hostname, place.port), timeout=CONNECT_S).close()


def _arguments(address: str, workers: int) -> dict[str, Any]:
    """Arguments of ray.init."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == LOCAL:
        alone = {"address": "local", "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        return quiet | alone | {"num_cpus": workers, "object_store_memory": STORE_BYTES}
    sent = [str(Path(str(package.__file__)).parent) for package in (components, models)]
    return quiet | {"address": address, "runtime_env": {"py_modules": sent, "excludes": ["__pycache__"]}}


def _processors(ray: Any) -> int:
    return int(ray.cluster_resources().get("CPU", 1))


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what this program does on SIGTERM; ray.init puts a handler of its own in place."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")[:300] or type(error).__name__
