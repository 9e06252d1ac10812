"""Copies of checkpoints in the object store, from which another machine goes on.

`checkpoints/runs/<identity of the job>/step-XXXXXXXX/` holds the two files of a checkpoint; its label is written last
and deleted first, so that a copy with a label is whole, or was damaged later, which its hash tells.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from components.backends.storage import Storage
from components.errors import TrainError
from components.train.checkpoint import (
    LABEL_FILE,
    STATE_FILE,
    Label,
    Retention,
    name_of,
    partial_of,
    require_hash,
    settle,
    steps_in,
)

PIECE_BYTES = 64 << 20
"""Read at once while a copy is brought."""


@dataclass(frozen=True)
class Copies:
    """The copies of one run."""

    store: Storage
    identity: str
    """Of the run."""

    @property
    def prefix(self) -> str:
        """Where their keys begin."""
        return f"checkpoints/runs/{self.identity}/"

    def key(self, step: int, file: str) -> str:
        """Key of one file of a copy."""
        return f"{self.prefix}{name_of(step)}/{file}"

    def steps(self, *, whole: bool = True) -> list[int]:
        """Steps with a copy, sorted; without `whole` those too whose writing or deleting was interrupted.

        Raises:
            StorageError: the store does not answer.
        """
        pattern = re.compile(rf"step-(\d+)/({re.escape(LABEL_FILE) if whole else '.*'})")
        found = (pattern.fullmatch(key.removeprefix(self.prefix)) for key in self.store.list(self.prefix))
        return sorted({int(match[1]) for match in found if match})

    def follow(self, folder: Path, retention: Retention, at: int) -> list[int]:
        """Copy the checkpoints of a folder that have no copy yet, and delete the copies that may go.

        Args:
            folder: of the local checkpoints.
            retention: which copies stay.
            at: step of the newest local one, which is copied in any case.

        Returns:
            steps that were copied.

        Raises:
            StorageError: the store does not take it; a later call makes up for it.
        """
        there = set(self.steps())
        made = [step for step in sorted(steps_in(folder)) if step == at or (step < at and step not in there)]
        for step in made:
            for file in (STATE_FILE, LABEL_FILE):
                self.store.put_file(self.key(step, file), folder / name_of(step) / file)
        reached = [step for step in self.steps(whole=False) if step <= at]
        for step in retention.outdated(reached):
            for file in (LABEL_FILE, STATE_FILE):
                self.store.delete(self.key(step, file))
        return made

    def bring(self, step: int, folder: Path) -> Path:
        """Make a copy a local checkpoint.

        Raises:
            StorageError: the store does not answer.
            ValueError: it is damaged or not whole.
            TrainError: the disk does not take it.
        """
        text = self.store.read(self.key(step, LABEL_FILE))
        label = Label.model_validate_json(text)
        partial: Path | None = None
        try:
            partial = partial_of(folder, step)
            if not self.store.exists(self.key(step, STATE_FILE)):
                raise ValueError(f"its {STATE_FILE} is missing")
            require_hash(label, self._download(self.key(step, STATE_FILE), partial / STATE_FILE))
            (partial / LABEL_FILE).write_bytes(text)
            return settle(partial, folder, step)
        except OSError as error:
            raise TrainError(f"Cannot bring a checkpoint to {folder}: {error}. Free space; the same command goes on.") from error
        finally:
            if partial is not None:
                shutil.rmtree(partial, ignore_errors=True)

    def _download(self, key: str, path: Path) -> str:
        """Write an object to a file; gives the sha256 of what came."""
        size, digest = self.store.size(key), hashlib.sha256()
        with path.open("wb") as file:
            for offset in range(0, size, PIECE_BYTES):
                data = self.store.read_range(key, offset, min(PIECE_BYTES, size - offset))
                digest.update(data)
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return digest.hexdigest()
