"""Which pair, which noise and which time belong to the n-th sample of a run.

Everything is a function of (seed, sample index): there is no random state to save, a resumed run goes on as
if it had never stopped, and the number of processes changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from components.records import canonical_json

Indices = npt.NDArray[np.int64]


def generator(*key: str | int) -> np.random.Generator:
    """A counter-based generator (Philox) that belongs to the key alone."""
    digest = hashlib.sha256(canonical_json(list(key)).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))


@lru_cache(maxsize=8)
def permutation(seed: int, turn: int, pairs: int, group: int = 0) -> Indices:
    """Order of the pairs in one pass over them; each group of pairs has orders of its own."""
    key = ("order", seed, turn, group) if group else ("order", seed, turn)
    return generator(*key).permutation(pairs).astype(np.int64)


def pair_of(seed: int, sample: int, pairs: int) -> int:
    """Row of the pair that sample 0, 1, ... of the run takes; each pass takes every pair once."""
    return int(permutation(seed, sample // pairs, pairs)[sample % pairs])


@dataclass(frozen=True)
class Order:
    """Rows of all samples where pairs are of several sizes: an update takes pairs of one size.

    So every forward pass holds one size, whatever the micro-batch, and all processes have the same work. Each size goes on
    through its own passes, from update to update, and has its share of the updates in every pass over all pairs. With one
    size this is `pair_of`.
    """

    seed: int
    groups: tuple[npt.NDArray[np.integer[Any]], ...]
    """Numbers of the rows of each size."""
    batch_size: int
    """Samples per update."""

    def rows(self, samples: Sequence[int]) -> list[int]:
        """Numbers of the rows that some samples take."""
        updates = {sample // self.batch_size for sample in samples}
        taken = {update: self.update(update) for update in updates}
        return [int(taken[sample // self.batch_size][sample % self.batch_size]) for sample in samples]

    def update(self, update: int) -> Indices:
        """Numbers of the rows that update 0, 1, ... takes."""
        group, before = self._place(update)
        pairs = len(self.groups[group])
        samples = np.arange(before * self.batch_size, (before + 1) * self.batch_size)
        taken = np.empty(self.batch_size, np.int64)
        for turn in np.unique(samples // pairs).tolist():
            inside = samples // pairs == turn
            taken[inside] = permutation(self.seed, turn, pairs, group)[samples[inside] % pairs]
        return self.groups[group][taken].astype(np.int64)

    def _place(self, update: int) -> tuple[int, int]:
        """Group of an update, and how many updates of that group were before it."""
        turn = update * self.batch_size // sum(map(len, self.groups))
        while sum(self._done(turn + 1)) <= update:
            turn += 1
        done = self._done(turn)
        within, sizes = update - sum(done), [after - before for before, after in zip(done, self._done(turn + 1), strict=True)]
        groups = sizes_of_turn(self.seed, turn, tuple(sizes))
        group = int(groups[within])
        return group, done[group] + int(np.count_nonzero(groups[:within] == group))

    def _done(self, turns: int) -> list[int]:
        """Updates of each group after so many passes over all pairs; what is left of a pass goes into the next."""
        return [turns * len(group) // self.batch_size for group in self.groups]


@lru_cache(maxsize=4)
def sizes_of_turn(seed: int, turn: int, updates: tuple[int, ...]) -> Indices:
    """Group of each update in one pass over all pairs, shuffled; `updates` says how many each group has."""
    groups = np.repeat(np.arange(len(updates)), updates)
    return groups[generator("sizes", seed, turn).permutation(len(groups))]


@dataclass(frozen=True)
class Draw:
    """Random numbers of one sample."""

    noise_TD: npt.NDArray[np.float32]
    """Standard normal, one value per latent value."""
    normal: float
    """Standard normal; with `uniform` it decides the flow time."""
    uniform: float
    """In [0, 1)."""


def draw(seed: int, sample: int, tokens: int, values: int) -> Draw:
    """Draw noise and time of one sample.

    Args:
        seed: of the run.
        sample: index within the run.
        tokens: T, tokens of the packed latent.
        values: D, values per token.
    """
    random = generator("sample", seed, sample)
    normal, uniform = float(random.standard_normal()), float(random.random())
    return Draw(random.standard_normal((tokens, values), dtype=np.float32), normal, uniform)


@dataclass(frozen=True)
class Spread:
    """How the samples of an update are spread over processes and forward passes."""

    micro_batch_size: int
    accumulation: int
    processes: int
    rank: int

    @property
    def batch_size(self) -> int:
        """Samples per update."""
        return self.micro_batch_size * self.accumulation * self.processes

    def micro_batches(self, step: int) -> list[range]:
        """Samples of this process in update 0, 1, ..., one range per forward pass.

        All processes together take step * batch_size ... (step + 1) * batch_size - 1 whatever their number.
        """
        first = step * self.batch_size
        size = self.micro_batch_size
        starts = [first + (turn * self.processes + self.rank) * size for turn in range(self.accumulation)]
        return [range(start, start + size) for start in starts]
