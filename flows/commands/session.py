"""What every verb shares: the options before it, how it runs, and how its result is printed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from flows.terminal import Terminal

if TYPE_CHECKING:
    from components.records import Record
    from flows.workspace import Workspace


@dataclass
class Options:
    """What stands before the verb."""

    profile: str
    overrides: list[str]
    home: Path
    terminal: Terminal
    arguments: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.arguments = {"profile": self.profile, "overrides": self.overrides, "home": str(self.home)}


@contextmanager
def running(options: Options) -> Iterator[Workspace]:
    """Prepare the environment, show progress, and turn errors into sentences and exit codes."""
    from flows import environment

    environment.prepare(options.home)
    _stop_at_once(options)
    from flows.orphans import end_orphans

    end_orphans(options.home / "prefect")
    from components.errors import LucidfluxError, SettingsError
    from flows.workspace import open_workspace

    try:
        workspace = open_workspace(**options.arguments)
        with options.terminal.showing() as report:
            from flows.progress import progress, say

            progress.set(report)
            say.set(options.terminal.say)
            yield workspace
    except LucidfluxError as error:
        options.terminal.say(f"{type(error).__name__}: {error}")
        raise typer.Exit(2 if isinstance(error, SettingsError) else 1) from error


def _stop_at_once(options: Options) -> None:
    """Let Ctrl-C end this process and its children.

    A terminal interrupts the embedded Prefect server together with us, and Prefect would wait for its answer. With a
    server of its own the run is marked there, so Prefect keeps the signal.
    """

    def leave(number: int, frame: object) -> NoReturn:
        del frame
        import psutil

        options.terminal.say("Stopped; the same command goes on from here.")
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.terminate()
        os._exit(128 + number)

    if "PREFECT_API_URL" not in os.environ:
        signal.signal(signal.SIGINT, leave)


def look_first(workspace: Workspace, sources: list[str]) -> None:
    """Refuse a missing or empty source before anything is started."""
    from components.ingest.run import fingerprint

    fingerprint(sources, workspace.profile.ingest)


def finish(options: Options, record: Record, text: str) -> None:
    """Print what a verb made: the record as JSON, or the text for a person."""
    options.terminal.result(record.model_dump_json() if options.terminal.json else text)
