"""The rows of a pairs manifest for training: unpacked once to a file that is mapped, looked up by number.

At 1.36 M pairs the rows as Python objects would take minutes and gigabytes in every process. So one process of a machine
unpacks the manifest into the job's folder, a query says which crop sides there are, and all processes map the same file.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.backends import manifest
from components.backends.parquet import MappedRows, unpack_rows
from components.backends.storage import Storage
from components.errors import TrainError
from components.records import Manifest

Numbers = npt.NDArray[np.int32]

COLUMNS = ("id", "recipe", "shard", "offset", "length", "pixels", "hq_offset", "hq_length", "lq_offset", "lq_length")
"""What training reads of a pair."""
ROWS_FILE = "rows.arrow"
MEMORY_MIB = 256
"""Of the query for the sides."""
_SIDES = """create temp table sides as select file_row_number::int as number, try_cast(
case when recipe like '[%' then recipe ->> '$[2]' else recipe ->> '$.crop_px' end as integer) as side from pairs"""
"""A packed recipe has its crop side in third place, one of the time before is an object."""


@dataclass(frozen=True)
class PairRows:
    """All pairs of a run."""

    rows: MappedRows
    by_side: Mapping[int, Numbers]
    """Crop side in pixels, ascending -> numbers of its rows, ascending."""

    @property
    def ids(self) -> Ids:
        """Pair ids, in the order of the manifest."""
        return Ids(self.rows)


class Ids(Sequence[str]):
    """A sequence of the pair ids, read when they are asked for."""

    def __init__(self, rows: MappedRows) -> None:
        self._rows = rows

    def __len__(self) -> int:
        """Count the pairs."""
        return len(self._rows)

    def __getitem__(self, number: Any) -> Any:
        """Give the id of one row, or those of a slice."""
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        return self._rows.value(number, "id")


def folder_of(work: Path, pairs: Manifest) -> Path:
    """Where the unpacked rows of a job lie."""
    return work / f"rows-{pairs.sha256[:16]}"


def unpack(store: Storage, pairs: Manifest, folder: Path, *, crop_px: int | None = None) -> None:
    """Unpack the rows and find their sides, unless another process did; the folder is whole or absent.

    Args:
        store: holds the manifest.
        pairs: the manifest.
        folder: see `folder_of`.
        crop_px: side that every recipe must ask for; None for any.

    Raises:
        TrainError: there is no pair, a recipe takes whole pictures, or not the side that is asked for.
        ManifestError: the file is missing or was changed.
        StorageError: the disk does not take the rows.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if not folder.is_dir():
            for leftover in folder.parent.glob(f"{folder.name}.*.partial"):
                shutil.rmtree(leftover)
            partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
            partial.mkdir()
            unpack_rows(manifest.checked_path(store, pairs), partial / ROWS_FILE, COLUMNS)
            for side, numbers in _sides(store, pairs).items():
                np.save(_side_file(partial, side), numbers)
            partial.replace(folder)
    require_sides([_side(path) for path in folder.glob("*.npy")], crop_px)


def open_rows(folder: Path) -> PairRows:
    """Map what `unpack` left.

    Raises:
        StorageError: it is missing or cut.
    """
    sides = sorted(_side(path) for path in folder.glob("*.npy"))
    return PairRows(MappedRows(folder / ROWS_FILE), {side: np.load(_side_file(folder, side), mmap_mode="r") for side in sides})


def require_sides(sides: list[int], crop_px: int | None) -> None:
    """Refuse pairs that cannot be trained on; a side of 0 is a whole picture.

    Raises:
        TrainError: says which sides there are.
    """
    if not sides:
        raise TrainError("Expected training pairs, the manifest has none. Curate more pictures or lower curate.minimum settings.")
    if 0 in sides or (crop_px and sides != [crop_px]):
        found = ", ".join(f"{side} px" if side else "whole pictures" for side in sorted(sides))
        raise TrainError(
            f"Expected pairs of square crops{f' of {crop_px} px' if crop_px else ''}, the recipes say {found}. "
            "Set synthesize.crop_px and train.crop_px to the same value."
        )


def _sides(store: Storage, pairs: Manifest) -> dict[int, Numbers]:
    from components.backends.tables import Tables

    with Tables(store, memory_mib=MEMORY_MIB) as tables:
        tables.manifest("pairs", pairs, numbered=True)
        tables.run(_SIDES)
        found = tables.rows("select coalesce(side, 0) as side from sides group by all order by all")
        of_side = "select number from sides where coalesce(side, 0) = $side order by number"
        return {row["side"]: _column(tables.batches(of_side, {"side": row["side"]})) for row in found}


def _column(batches: Iterator[Any]) -> Numbers:
    numbers: Numbers = np.concatenate([batch.column(0).to_numpy() for batch in batches])
    return numbers


def _side_file(folder: Path, side: int) -> Path:
    return folder / f"{side}.npy"


def _side(path: Path) -> int:
    return int(path.stem)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process unpacks the same rows."""
    with folder.with_name(f"{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
