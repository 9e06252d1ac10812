"""Temporary folders that a killed process does not leave for ever."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_PREFIX = "lucidflux-"


@contextmanager
def scratch(about: str) -> Iterator[Path]:
    """Give an empty folder that goes at the end; first delete what killed processes left of theirs.

    Args:
        about: word in its name.
    """
    folder = make(about)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make(about: str) -> Path:
    """Make an empty folder for somebody who deletes it; first delete what killed processes left of theirs."""
    _sweep(about)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{about}-{os.getpid()}-"))


def _sweep(about: str) -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}{about}-*"):
        pid = folder.name.removeprefix(f"{_PREFIX}{about}-").partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
