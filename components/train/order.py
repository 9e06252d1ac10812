"""Which pair, which noise and which time belong to the n-th sample of a run.

Everything is a function of (seed, sample index): there is no random state to save, a resumed run goes on as
if it had never stopped, and the number of processes changes nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from components.records import canonical_json

Indices = npt.NDArray[np.int64]


def generator(*key: str | int) -> np.random.Generator:
    """A counter-based generator (Philox) that belongs to the key alone."""
    digest = hashlib.sha256(canonical_json(list(key)).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))


@lru_cache(maxsize=4)
def permutation(seed: int, turn: int, pairs: int) -> Indices:
    """Order of the pairs in one pass over them."""
    return generator("order", seed, turn).permutation(pairs).astype(np.int64)


def pair_of(seed: int, sample: int, pairs: int) -> int:
    """Row of the pair that sample 0, 1, ... of the run takes; each pass takes every pair once."""
    return int(permutation(seed, sample // pairs, pairs)[sample % pairs])


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
