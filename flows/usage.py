"""What this process and everything that it started use: sampled in a thread, more rarely as a run gets longer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

FIRST_SECONDS = 5.0
"""Between samples, at first."""
STRETCH = 1.02
"""How much longer each pause is than the one before: 100 samples in half an hour, 700 in a month."""
MIB = 2**20


@contextmanager
def sampled_usage(log: Callable[[int, dict[str, float]], None]) -> Iterator[None]:
    """Sample while the block runs.

    Args:
        log: takes the time in whole seconds as a step, so that a resumed run goes on, and the figures; when it fails,
            sampling ends quietly: figures are no reason to lose a run.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_sample, args=(log, ended), name="usage", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(FIRST_SECONDS)


def _sample(log: Callable[[int, dict[str, float]], None], ended: threading.Event) -> None:
    pause, before = FIRST_SECONDS, _tree()
    with suppress(Exception):
        while not ended.wait(pause):
            now = _tree()
            log(int(time.time()), usage(before, now, pause))
            before, pause = now, pause * STRETCH


def usage(before: dict[int, tuple[float, int]], now: dict[int, tuple[float, int]], seconds: float) -> dict[str, float]:
    """Figures of two looks at a tree of processes.

    Args:
        before: process id -> (processor seconds, resident bytes).
        now: likewise, later.
        seconds: in between.
    """
    busy = sum(spent - before.get(pid, (0.0, 0))[0] for pid, (spent, _) in now.items())
    return {
        "system/training_cpu_cores": busy / seconds,
        "system/training_memory_megabytes": sum(resident for _, resident in now.values()) / MIB,
        "system/training_processes": float(len(now)),
    }


def _tree() -> dict[int, tuple[float, int]]:
    own = psutil.Process()
    seen: dict[int, tuple[float, int]] = {}
    for process in [own, *own.children(recursive=True)]:
        with suppress(psutil.Error), process.oneshot():
            times = process.cpu_times()
            seen[process.pid] = (times.user + times.system, process.memory_info().rss)
    return seen
