"""Find the pictures that kill the process that decodes them, by halving."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from components.backends.engine import Trials
from components.imaging import codec
from components.ingest.source import Entry

Trial = Callable[[tuple[Entry, ...]], tuple[Callable[[Any], object], Any]]
"""Gives the function and the job that try some entries in a process of their own."""


def poisoned(trial: Trial, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
    """Give the entries that kill their process, each with `too_slow` or `decoder_crashed`.

    One among n is found with 2 log2(n) trials.

    Args:
        trial: makes a call that reads and decodes some entries.
        entries: what a dead worker had to do.
    """
    with Trials() as trials:
        return list(_halved(trials, trial, tuple(entries)))


def _halved(trials: Trials, trial: Trial, entries: tuple[Entry, ...]) -> Iterator[tuple[Entry, str]]:
    code = trials.died(*trial(entries))
    if code is None:
        return
    if len(entries) == 1:
        yield entries[0], codec.verdict_of_death(code)
        return
    middle = len(entries) // 2
    yield from _halved(trials, trial, entries[:middle])
    yield from _halved(trials, trial, entries[middle:])
