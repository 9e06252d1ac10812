"""How far a stage has come: shown by whoever started it, logged by Prefect otherwise."""

from __future__ import annotations

import contextvars
from collections.abc import Callable

from prefect.exceptions import MissingContextError
from prefect.logging import get_logger, get_run_logger

from components.records import Progress

_QUARTERS = 4


def _log(phase: str, done: int, total: int) -> None:
    """Write a line at each quarter of the way."""
    quarter = max(1, total // _QUARTERS)
    if not total or (done % quarter and done != total):
        return
    try:
        get_run_logger().info("%s: %d of %d", phase, done, total)
    except MissingContextError:
        get_logger("lucidflux").info("%s: %d of %d", phase, done, total)


progress: contextvars.ContextVar[Progress] = contextvars.ContextVar("progress", default=_log)
"""What tasks report to; a command line replaces it by a progress bar."""


def _tell(text: str) -> None:
    """Write a line to the run's log."""
    try:
        get_run_logger().info("%s", text)
    except MissingContextError:
        get_logger("lucidflux").info("%s", text)


say: contextvars.ContextVar[Callable[[str], None]] = contextvars.ContextVar("say", default=_tell)
"""Tells a person something that is neither progress nor result; a command line shows it on the terminal."""

reused: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("reused", default=None)
"""Names of the stages that found their result from an earlier run, when someone keeps the list."""
