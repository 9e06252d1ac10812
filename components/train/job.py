"""What a training process is told, and where everything of one run lies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.errors import TrainError
from components.imaging.sampler import SamplerSettings
from components.records import Manifest, Record, content_hash
from components.train.settings import TrainSettings

OPERATOR = "train-2"
"""Version of the arithmetic; a change of the result changes it."""

JOB_FILE = "job.json"
ADAPTER_FILE = "adapter.safetensors"
RESULT_FILE = "result.json"
BAD_BATCH_FILE = "bad_batch.json"
CHECKPOINTS = "checkpoints"
"""Folder of a run's checkpoints."""


class Validation(Record):
    """What validation needs beside the settings."""

    held_out: Manifest
    """Image manifest of the curation that the pairs come from."""
    sampler: SamplerSettings
    weights: str = ""
    """Folder of third-party weights, for metrics that need some."""


class Job(Record):
    """One training run, as its processes read it."""

    objects: str
    """Root of the object store."""
    pairs: Manifest
    settings: TrainSettings
    base: str
    """Folder of the frozen parts."""
    base_hashes: dict[str, str]
    """File name -> sha256 of the frozen parts."""
    folder: str
    """Where log, checkpoints and results of this run lie."""
    validation: Validation | None = None

    @property
    def identity(self) -> str:
        """Hash of everything that decides the result; checkpoints carry it."""
        judge = [self.validation.held_out.sha256, self.validation.sampler] if self.settings.judged and self.validation else []
        return content_hash(OPERATOR, self.pairs.sha256, self.settings.identity(), self.base_hashes, *judge)

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.folder)


class Result(Record):
    """What the training processes leave beside the adapter."""

    sha256: str
    """Of adapter.safetensors."""
    step: int
    """Updates done."""
    loss_first: float
    loss_last: float
    resumed_from_step: int
    notes: tuple[str, ...] = ()
    """Which weights these are where they are not those of the last update, and why the run ended early."""


def write_text(path: Path, text: str) -> None:
    """Write a file that is whole or absent.

    Raises:
        TrainError: the disk does not take it.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise TrainError(f"Cannot write {path}: {error.strerror}. Free space; the same command goes on.") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a second process out of the same run.

    Raises:
        TrainError: it is being trained already.
    """
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TrainError(f"Another process trains in {folder}. Wait for it or end it, then run again.") from error
        yield
