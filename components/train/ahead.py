"""Pixels made before they are asked for, by processes of their own.

The order of the samples is known in advance (`order.py`), so that a worker needs row numbers only, and what it gives
depends on nothing else: the number of workers changes no bit. torch's DataLoader is not used: it hands over
tensors through sockets in the temporary folder, which a killed run leaves behind, and reports a dead worker by raising
in the middle of whatever the training thread does.
"""

from __future__ import annotations

import collections
import multiprocessing
import os
import weakref
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from components.backends.storage import open_storage
from components.errors import TrainError
from components.train.launcher import end_with_parent
from components.train.pixels import Made, PairPixels, Synthesis
from components.train.rows import open_rows


@dataclass(frozen=True)
class Opening:
    """What a process needs to make pixels."""

    objects: str
    """Root of the object store."""
    cache: Path
    """Folder for copies of remote objects."""
    rows: Path
    """Folder of the unpacked rows."""
    synthesis: Synthesis = "processor"

    def open(self) -> PairPixels:
        """Open store and rows.

        Raises:
            StorageError: the store or the rows cannot be read.
        """
        store = open_storage(self.objects, cache=self.cache)
        return PairPixels(store, open_rows(self.rows).rows, self.synthesis)


class Ahead:
    """Makes the pixels of coming micro-batches; see PixelSource."""

    def __init__(self, opening: Opening, *, workers: int, prefetch: int) -> None:
        """Start nothing yet; processes start with the first micro-batches of `follow`.

        Args:
            opening: what the workers open.
            workers: processes, at least 1.
            prefetch: micro-batches that are made or wait to be taken.
        """
        self.opening, self.prefetch = opening, max(prefetch, workers)
        self._here = opening.open()
        self._coming: Iterator[tuple[int, ...]] = iter(())
        self._waiting: collections.deque[tuple[tuple[int, ...], Future[Made]]] = collections.deque()
        self._pool = ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), initializer=end_with_parent, initargs=(os.getpid(),)
        )
        # whoever forgets to close, or raises, does not wait for what nobody takes
        weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)

    def follow(self, coming: Iterable[Sequence[int]]) -> None:
        """Make these rows ahead, one group after the other; what was made for an earlier order is dropped."""
        for _, future in self._waiting:
            future.cancel()
        self._waiting.clear()
        self._coming = (tuple(map(int, numbers)) for numbers in coming)
        self._fill()

    def make(self, numbers: Sequence[int]) -> Made:
        """Give the pixels of the group that is next; those of any other rows are made here.

        Raises:
            TrainError: a worker ended.
        """
        if not self._waiting or self._waiting[0][0] != tuple(numbers):
            return self._here.make(numbers)
        _, future = self._waiting.popleft()
        self._fill()
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise _ended() from error

    def close(self) -> None:
        """End the workers."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _fill(self) -> None:
        while len(self._waiting) < self.prefetch and (numbers := next(self._coming, None)) is not None:
            try:
                self._waiting.append((numbers, self._pool.submit(_make, self.opening, numbers)))
            except BrokenProcessPool as error:
                raise _ended() from error


def _make(opening: Opening, numbers: tuple[int, ...]) -> Made:
    return _opened(opening).make(numbers)


@lru_cache(maxsize=1)
def _opened(opening: Opening) -> PairPixels:
    """Open once per worker."""
    return opening.open()


def _ended() -> TrainError:
    return TrainError(
        "A process that makes training pixels ended without a reason (a lack of memory is a common one). The same command goes "
        "on from the last checkpoint; lower train.data_workers or train.prefetch if it happens again."
    )
