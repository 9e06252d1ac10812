"""Processes that outlive the command that started them: started apart, known again, ended with all that they started.

Each carries a token of its home in its environment, and hands it to its children. By that a process is known as ours
whatever its number: after a restart of the machine a number in an old file may belong to a stranger, who has no token, and
what a killed worker left behind has lost its parent, but not the token.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

TOKEN = "LUCIDFLUX_PLATFORM"  # noqa: S105 (the name of a variable)
SERVICE = "LUCIDFLUX_SERVICE"
"""In the environment too: which service a process belongs to."""
LOG_BYTES = 50_000_000
"""A longer log is put aside, once, when its service starts again."""


def start(command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path) -> psutil.Process:
    """Start a process in a session of its own, with its output added to a file.

    Args:
        command: program and arguments.
        environment: all of its environment, the token included.
        log: file of its output.
        folder: where it runs.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".old.log"))
    with log.open("ab") as output:
        started = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return psutil.Process(started.pid)


def marked(token: str, service: str = "") -> list[psutil.Process]:
    """Every living process that carries a token, of one service or all, but not the one that asks."""
    return [process for process in psutil.process_iter() if process.pid != os.getpid() and carries(process, token, service)]


def carries(process: psutil.Process, token: str, service: str = "") -> bool:
    """Whether a process lives and was started with a token, for a service where one is named."""
    with suppress(psutil.Error, OSError):
        if process.status() != psutil.STATUS_ZOMBIE:
            environment = process.environ()
            return environment.get(TOKEN) == token and service in ("", environment.get(SERVICE))
    return False


def known(pid: int, token: str, words: Sequence[str]) -> psutil.Process | None:
    """Give a process by its number if it still is what it was: alive, ours, and running that command.

    Args:
        pid: number that was written down.
        token: of the home.
        words: that follow one another in its command line.
    """
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return process if carries(process, token) and runs(process, words) else None
    return None


def runs(process: psutil.Process, words: Sequence[str]) -> bool:
    """Whether the words follow one another in the command line of a process."""
    with suppress(psutil.Error):
        line = process.cmdline()
        return any(line[place : place + len(words)] == list(words) for place in range(len(line)))
    return False


def stop(processes: Iterable[psutil.Process], seconds: float) -> None:
    """Ask processes to end, and kill those that have not after a while."""
    left = list(processes)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(left, timeout=seconds)
    for process in stubborn:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=seconds)
