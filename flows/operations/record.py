"""What a home remembers of its platform: `platform.json`."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from pydantic import Field, ValidationError

from components.errors import StorageError
from components.records import Record
from flows.operations import processes

NAME = "platform.json"


class Service(Record):
    """A process that was started."""

    pid: int
    started: float
    """Seconds since 1970."""
    words: tuple[str, ...]
    """Of its command line, by which it is known again."""
    address: str = ""
    """Where it answers; empty for a worker."""


class Platform(Record):
    """The processes of a home, and what has to stay the same when they are started again."""

    token: str
    """In the environment of each of its processes."""
    host: str = "127.0.0.1"
    ports: dict[str, int] = Field(default_factory=dict)
    services: dict[str, Service] = Field(default_factory=dict)

    def process(self, name: str) -> psutil.Process | None:
        """The living process of a service; None when it ended or was never started."""
        service = self.services.get(name)
        return None if service is None else processes.known(service.pid, self.token, service.words)


def new() -> Platform:
    """A platform that nothing was started of."""
    return Platform(token=secrets.token_hex(16))


def load(home: Path) -> Platform | None:
    """Read what a home remembers; None when nothing was ever started there.

    Raises:
        StorageError: the file is not what it should be.
    """
    try:
        return Platform.model_validate_json((home / NAME).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as error:
        raise StorageError(
            f"Cannot read {home / NAME}: {type(error).__name__}. Bring it back from a backup (lucidflux restore-state), or end "
            "the servers of this home by hand, remove the file and run lucidflux up."
        ) from error


def save(home: Path, platform: Platform) -> Platform:
    """Write it down, whole or not at all, for this user only."""
    partial = home / f".{NAME}.{os.getpid()}.partial"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(platform.model_dump_json(indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(home / NAME)
    return platform


def with_service(platform: Platform, name: str, process: psutil.Process, words: Sequence[str], address: str) -> Platform:
    """The platform with one more process."""
    service = Service(pid=process.pid, started=process.create_time(), words=tuple(words), address=address)
    return platform.model_copy(update={"services": {**platform.services, name: service}})


def address(home: Path, name: str) -> str:
    """Where a service of a home answers; empty when it does not run. A broken file is for `up` and `status` to report."""
    try:
        platform = load(home)
    except StorageError:
        return ""
    if platform is None or platform.process(name) is None:
        return ""
    return platform.services[name].address


@contextmanager
def exclusive(home: Path) -> Iterator[None]:
    """Keep two commands from starting or ending the same platform at once; the lock ends with its process."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "platform.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
