"""What a person sees: progress with rate and time left, sentences instead of tracebacks; JSON on request."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from components.records import Progress as Report

EVERY_SECONDS = 15.0


class RateColumn(ProgressColumn):
    """Units per second, as far as they are known."""

    def render(self, task: Task) -> Text:
        """Show the speed of a task."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "", style="progress.data.speed")


class Terminal:
    """Progress on stderr; on stdout the result alone."""

    def __init__(self, *, json: bool) -> None:
        self.json = json
        self.errors = Console(stderr=True, highlight=False)
        self.stdout = os.dup(1) if json else 1

    def say(self, text: str) -> None:
        """Tell a person something that is not the result."""
        self.errors.print(text, markup=False, soft_wrap=True)

    def result(self, text: str) -> None:
        """Write the result and nothing else to stdout."""
        with os.fdopen(os.dup(self.stdout), "w") as out:
            out.write(text + "\n")

    @contextlib.contextmanager
    def showing(self) -> Iterator[Report]:
        """Show progress while a verb runs; a terminal gets bars, a log file a line now and then."""
        if self.json:
            # libraries print; stdout belongs to the record
            sys.stdout.flush()
            os.dup2(2, 1)
        if not self.errors.is_terminal:
            yield _Lines(self)
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            RateColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.errors, transient=False) as bars:
            yield _Bars(bars)


class _Bars:
    """One bar for each phase."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self.phases: dict[str, TaskID] = {}

    def __call__(self, phase: str, done: int, total: int) -> None:
        if phase not in self.phases or done < self.bars.tasks[self.phases[phase]].completed:
            self.phases[phase] = self.bars.add_task(phase, total=total or None)
        self.bars.update(self.phases[phase], completed=done, total=total or None)


class _Lines:
    """A line at the end of each phase, and every quarter of a minute on the way."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.started: dict[str, float] = {}
        self.spoken = 0.0

    def __call__(self, phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        if phase not in self.started or done <= 1:
            self.started[phase] = self.spoken = now
            if done < total:
                return
        if done != total and now - self.spoken < EVERY_SECONDS:
            return
        self.spoken = now
        seconds = now - self.started[phase]
        pace = ""
        if done > 1 and seconds > 0:
            # the clock started when the first was done
            rate = (done - 1) / seconds
            pace = f" ({rate:.1f}/s" + (f", {(total - done) / rate:.0f} s left)" if total > done else ")")
        self.terminal.say(f"{phase}: {done} of {total or '?'}{pace}")
