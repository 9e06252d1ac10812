"""Embedded Prefect servers that a killed command left behind."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil

SERVER = "prefect.server.api.server:create_app"
SECONDS = 10.0


def end_orphans(prefect_home: Path) -> int:
    """End embedded servers of a home whose command is gone, and say how many there were.

    A command that is killed with -9 cannot end its server; it would go on for nobody. Servers of other homes, and
    servers that still have their command, are left alone.

    Args:
        prefect_home: PREFECT_HOME of the home.
    """
    left = [process for process in psutil.process_iter() if _is_orphan(process, prefect_home)]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(left, timeout=SECONDS)
    for process in stubborn:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return len(left)


def _is_orphan(process: psutil.Process, prefect_home: Path) -> bool:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        if SERVER not in process.cmdline():
            return False
        environment = process.environ()
        ours = environment.get("PREFECT_HOME") == str(prefect_home) and environment.get("PREFECT__SERVER_EPHEMERAL") == "1"
        parent = process.parent()
        return ours and not _has_command(parent)
    return False


def _has_command(parent: psutil.Process | None) -> bool:
    """Whoever adopts an orphan is init or a reaper, never a Python program."""
    return parent is not None and parent.pid != 1 and "python" in Path((parent.cmdline() or [""])[0]).name
