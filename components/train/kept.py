"""Features that are made once per pair and kept, in memory or in files: all of them, or those that are worth their room."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from components.errors import TrainError
from components.train.data import HQ, NAMES, Features, LiveFeatures
from models.config import NetworkConfig

CHUNK = 64
"""Pairs per feature file."""
OPEN_FILES = 1024
"""Feature files that stay mapped."""
KINDS: Mapping[str, tuple[str, ...]] = {"none": (), "lrp": ("lrp_01",), "latents": ("x0_BTD",), "all": NAMES}
"""What each setting keeps."""

Rows = npt.NDArray[np.integer[Any]]
Tick = Callable[[int, int], None]
"""Called with (done, total)."""


class Part(NamedTuple):
    """Rows of one feature file."""

    side_px: int
    rows: Rows


def parts(needed: Rows, by_side: Mapping[int, Rows]) -> list[Part]:
    """Cut the needed rows into files, each of one crop side.

    Args:
        needed: numbers of rows, ascending, each once.
        by_side: numbers of the rows of each crop side.
    """
    cut = []
    for side_px, group in by_side.items():
        own = needed if len(by_side) == 1 else np.intersect1d(needed, group, assume_unique=True)
        cut += [Part(side_px, own[start : start + CHUNK]) for start in range(0, len(own), CHUNK)]
    return cut


class KeptFeatures:
    """Features of the pairs that a run needs, in memory or mapped from files."""

    def __init__(self, parts: Sequence[Part], chunk: Callable[[int], Features]) -> None:
        """Remember where each row is.

        Args:
            parts: rows by chunk.
            chunk: gives the features of a chunk by its number.
        """
        self.chunk = chunk
        rows = np.concatenate([np.empty(0, np.int64), *(part.rows for part in parts)])
        self._order = np.argsort(rows)
        self._sorted = rows[self._order]
        self._starts = np.cumsum([0, *(len(part.rows) for part in parts)])

    def take(self, indices: Sequence[int]) -> Features:
        """Give what is kept of some rows of one size; KeyError for a row that is not kept."""
        places = [self._place(index) for index in indices]
        names = self.chunk(places[0][0]).keys()
        return {name: torch.stack([self.chunk(chunk)[name][at] for chunk, at in places]) for name in names}

    def _place(self, index: int) -> tuple[int, int]:
        rank = int(np.searchsorted(self._sorted, index))
        if rank == len(self._sorted) or self._sorted[rank] != index:
            raise KeyError(f"row {index} is not among the kept ones")
        at = int(self._order[rank])
        chunk = int(np.searchsorted(self._starts, at, side="right")) - 1
        return chunk, at - int(self._starts[chunk])


@dataclass(frozen=True)
class Completed:
    """Kept features, and the others computed each time; see FeatureSource."""

    kept: KeptFeatures
    live: LiveFeatures

    def take(self, indices: Sequence[int]) -> Features:
        """See FeatureSource."""
        return self.live.complete(indices, self.kept.take(indices))


def bytes_per_pair(config: NetworkConfig, side_px: int) -> dict[str, int]:
    """What each feature of a pair takes, in memory and on disk alike."""
    encoder, latent = config.encoder, config.latent
    return {
        "lq_u8": 3 * side_px**2,
        HQ: 3 * side_px**2,
        "lrp_01": 3 * side_px**2 * 2,
        "x0_BTD": (side_px // latent.token_px) ** 2 * latent.token_values * 4,
        "features_BSE": (encoder.image_px // encoder.patch_px) ** 2 * encoder.hidden * 4,
    }


@dataclass(frozen=True)
class Keeping:
    """Makes what is kept of the rows that a run needs."""

    live: LiveFeatures
    names: Sequence[str]
    parts: Sequence[Part]
    batch: int
    """Pairs per forward pass."""
    tick: Tick

    def bytes_of(self, numbers: Iterable[int]) -> int:
        """What some chunks take."""
        per_pair = {
            side_px: bytes_per_pair(self.live.frozen.config, side_px) for side_px in {part.side_px for part in self.parts}
        }
        taken = {side_px: sum(sizes[name] for name in self.names) for side_px, sizes in per_pair.items()}
        return sum(len(self.parts[number].rows) * taken[self.parts[number].side_px] for number in numbers)

    def batches(self, numbers: Iterable[int]) -> Iterator[list[int]]:
        """Rows of each forward pass while the chunks of some numbers are made."""
        for number in numbers:
            rows: list[int] = self.parts[number].rows.tolist()
            yield from (rows[start : start + self.batch] for start in range(0, len(rows), self.batch))

    def in_memory(self) -> KeptFeatures:
        """Compute the features now."""
        chunks = [self._chunk(number) for number in self._ticking()]
        return KeptFeatures(self.parts, chunks.__getitem__)

    def missing(self, folder: Path, share: tuple[int, int] = (0, 1)) -> list[int]:
        """Chunks that have no file yet and are this process' to make.

        Args:
            folder: named by everything that decides the features.
            share: (rank, processes); each process makes every processes-th file.
        """
        rank, processes = share
        return [number for number in range(rank, len(self.parts), processes) if not (folder / _name(number)).is_file()]

    def write(self, folder: Path, share: tuple[int, int] = (0, 1)) -> None:
        """Compute the missing features into files; see `missing`."""
        folder.mkdir(parents=True, exist_ok=True)
        missing = set(self.missing(folder, share))
        for number in self._ticking():
            if number in missing:
                path = folder / _name(number)
                partial = path.with_suffix(f".{os.getpid()}.partial")
                save_file(dict(self._chunk(number)), partial)
                with partial.open("rb") as file:
                    os.fsync(file.fileno())
                partial.replace(path)

    def open(self, folder: Path) -> KeptFeatures:
        """Map the files that `write` made.

        Raises:
            TrainError: one is missing or damaged.
        """

        @lru_cache(maxsize=OPEN_FILES)
        def chunk(number: int) -> Features:
            path = folder / _name(number)
            try:
                return load_file(path)
            except (OSError, SafetensorError) as error:
                raise TrainError(f"The cached features {path} cannot be read: {error}. Delete them and run again.") from error

        for number in range(len(self.parts)):
            chunk(number)
        return KeptFeatures(self.parts, chunk)

    def _ticking(self) -> Iterator[int]:
        """Give every chunk's number, and tell how many pairs are done after it."""
        done, total = 0, sum(len(part.rows) for part in self.parts)
        for number, part in enumerate(self.parts):
            yield number
            done += len(part.rows)
            self.tick(done, total)

    def _chunk(self, number: int) -> Features:
        made = [self.live.complete(rows, {}, self.names) for rows in self.batches([number])]
        return {name: torch.cat([part[name] for part in made]).cpu() for name in self.names}


def _name(number: int) -> str:
    return f"{number:06d}.safetensors"
