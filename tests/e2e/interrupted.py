"""A run of the program that is watched from outside, to be interrupted at a chosen moment."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TextIO

import psutil

from tests.e2e.conftest import ROOT, STAGES, command, environment, finished_parts

WORKERS = ("multiprocessing.spawn", "ray::answered")
"""What the command lines of workers hold: of processes, and of a Ray worker that has a job."""


class Run:
    """One command, started and not waited for."""

    def __init__(self, home: Path, *words: str, settings: dict[str, str], program: str = STAGES) -> None:
        self.home = home
        self.before = self._finished()
        # no pipes: an embedded server that outlives a killed command would hold them open
        self.out, self.said = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            command(home, *words, settings=settings, program=program),
            cwd=ROOT,
            env=environment(),
            stdout=self.out,
            stderr=self.said,
        )

    def workers(self) -> list[psutil.Process]:
        """Give the processes that have jobs, or wait for some."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if any(word in command_line(child) for word in WORKERS)]

    def at_work(self, shards: int) -> list[psutil.Process]:
        """Wait until so many more shards are finished and there are workers; gives those."""
        while self._finished() < self.before + shards or not (workers := self.workers()):
            assert self.process.poll() is None, self._read(self.said)
            time.sleep(0.002)
        return workers

    def _finished(self) -> int:
        return finished_parts(self.home)

    def kill(self) -> None:
        """Kill the program; nothing that it started may go on."""
        workers = self.workers()
        self.process.kill()
        self.process.wait()
        assert psutil.wait_procs(workers, timeout=30)[1] == []

    def manifest(self) -> str:
        """Wait for the end and give the hash of the manifest."""
        assert self.process.wait() == 0, self._read(self.said)
        sha256: str = json.loads(self._read(self.out).splitlines()[-1])["manifest"]["sha256"]
        return sha256

    def _read(self, file: TextIO) -> str:
        file.seek(0)
        return file.read()


def command_line(process: psutil.Process) -> str:
    """Command line of a process; nothing of one that has just ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
