"""Checkpoints beside the training: copied on its thread, written, copied to the store and pruned on another one."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from components.backends.storage import open_storage
from components.errors import StorageError
from components.train import checkpoint
from components.train.checkpoint import Retention, State
from components.train.copies import Copies
from components.train.events import Emit
from components.train.job import CHECKPOINTS, Job


class CheckpointWriter:
    """Writes the checkpoints of a run, one at a time; leaving its block waits for the last one."""

    def __init__(self, job: Job, emit: Emit) -> None:
        """Nothing is written or opened before the first `save`."""
        self.job = job
        self.emit = emit
        self.folder = job.path / CHECKPOINTS
        self.retention = Retention(job.settings.keep_checkpoints, job.settings.keep_every_steps)
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None

    def save(self, state: State) -> None:
        """Copy a state and begin to write it; waits while the one before is being written.

        Raises:
            TrainError: the one before could not be written.
        """
        started = time.monotonic()
        self._join()
        self.check()
        copied = checkpoint.snapshot(state)
        held = time.monotonic() - started
        self._thread = threading.Thread(target=self._work, args=(copied, held), name="checkpoint")
        self._thread.start()

    def check(self) -> None:
        """Stop a run whose checkpoints cannot be written.

        Raises:
            TrainError: the disk did not take one; the earlier ones are untouched.
        """
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> CheckpointWriter:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Wait for the last one; its failure is raised unless something else is on the way."""
        self._join()
        if kind is None:
            self.check()

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _work(self, state: State, held: float) -> None:
        try:
            self._write(state, held)
        except Exception as error:
            # raised on the training thread by `check`
            self._failure = error

    def _write(self, state: State, held: float) -> None:
        started = time.monotonic()
        path = checkpoint.write(self.folder, state, self.job.identity)
        self.emit("checkpoint", step=state.step, name=path.name, seconds=time.monotonic() - started, held_seconds=held)
        try:
            checkpoint.prune(self.folder, self.retention, state.step)
        except OSError as error:
            self.emit("note", text=f"old checkpoints below {self.folder} cannot be deleted: {error}")
        if self.job.settings.checkpoint_store:
            self._copy(state.step)

    def _copy(self, step: int) -> None:
        """Bring the store to the state of the disk; a store that is away is asked again with the next checkpoint."""
        started = time.monotonic()
        copies = Copies(open_storage(self.job.objects), self.job.identity)
        try:
            copies.follow(self.folder, self.retention, step)
        except StorageError as error:
            self.emit("note", text=f"the checkpoint of step {step} is on disk only, the next one is copied again: {error}")
            return
        self.emit("copy", step=step, seconds=time.monotonic() - started)
