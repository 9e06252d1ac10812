"""Who holds a lease: a process of a machine, told apart from a later one with the same number."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

import psutil

from components.records import content_hash

_SPACES = ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid")
"""What tells apart machines of one name, a machine before and after a restart, and containers."""

_CLOCK_S = 2.0
"""How far apart two readings of the time at which a process began may be, where a machine's clock is set meanwhile."""


def myself() -> str:
    """Name this process."""
    pid = os.getpid()
    return f"{_machine()}/{pid}/{psutil.Process(pid).create_time():.2f}"


def gone(owner: str) -> bool:
    """Say whether an owner was a process of this machine that has ended; of others nothing is known."""
    machine, _, rest = owner.partition("/")
    pid, _, began = rest.partition("/")
    if machine != _machine():
        return False
    try:
        process = psutil.Process(int(pid))
        return bool(process.status() == psutil.STATUS_ZOMBIE or abs(process.create_time() - float(began)) > _CLOCK_S)
    except psutil.NoSuchProcess:
        return True
    except ValueError:  # written by something else
        return False


@cache
def _machine() -> str:
    return content_hash(platform.node(), *(_content(Path(name)) for name in _SPACES))[:16]


def _content(path: Path) -> str:
    try:
        return str(path.readlink()) if path.is_symlink() else path.read_text()
    except OSError:
        return ""
