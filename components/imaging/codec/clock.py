"""A limit of time for decoders that may never return."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SMALLEST_SECONDS = 1e-3
"""What is left of an outer limit when an inner block used it up; 0 would switch it off."""
_TOO_SLOW = frozenset({-signal.SIGPROF, -signal.SIGVTALRM, -signal.SIGXCPU})
"""Exit codes of a process that used up its processor time."""


def verdict_of_death(code: int) -> str:
    """Give `too_slow` or `decoder_crashed` for the exit code of a process that one picture killed."""
    return "too_slow" if code in _TOO_SLOW else "decoder_crashed"


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Kill this process if the block uses more processor time than allowed; for worker processes.

    A decoder inside a C library cannot be interrupted, only ended with its process: it dies of SIGPROF, without clean-up,
    and its parent sees the exit code -SIGPROF, for which the verdict is `too_slow`. Any other death by a signal means
    `decoder_crashed`. What counts is the time of all threads of this process, in user and in system mode, so that a
    busy machine fails no picture. Where limits are nested, the nearest end holds.

    Outside the main thread the block runs without a limit: there Python can neither take over the signal nor say whose
    time it is.

    Args:
        seconds: processor time, above 0.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGPROF, signal.SIG_DFL)
    outer, _ = signal.getitimer(signal.ITIMER_PROF)
    allowed = min(seconds, outer) if outer else seconds
    signal.setitimer(signal.ITIMER_PROF, allowed)
    try:
        yield
    finally:
        left, _ = signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler or signal.SIG_DFL)
        if outer:
            signal.setitimer(signal.ITIMER_PROF, max(outer - (allowed - left), _SMALLEST_SECONDS))
