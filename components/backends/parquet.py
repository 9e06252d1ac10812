"""Parquet files row by row: those that others made, and rows by number from a copy that is mapped and not read."""

from __future__ import annotations

import bisect
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.errors import StorageError

BATCH_ROWS = 4096


class ParquetRows:
    """A table in a file that can seek; only a batch of the asked columns is in memory."""

    def __init__(self, file: IO[bytes]) -> None:
        """Read the footer; raises StorageError when the file is no whole Parquet file."""
        try:
            self._table: Any = pq.ParquetFile(file)
        except (pa.ArrowException, OSError) as error:
            raise StorageError(f"Expected a Parquet file: {error}") from error
        self.names: list[str] = self._table.schema_arrow.names

    def tuples(self, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Give the values of some columns in the order of the file; raises StorageError where it is broken."""
        try:
            for batch in self._table.iter_batches(BATCH_ROWS, columns=list(columns)):
                yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
        except (pa.ArrowException, OSError) as error:
            raise StorageError(f"Cannot read the Parquet file further: {error}") from error


def unpack_rows(source: Path, target: Path, columns: Sequence[str]) -> None:
    """Write some columns of a Parquet file as an Arrow file, batch by batch; the target is whole or absent.

    Raises:
        StorageError: the source is no whole Parquet file, or the disk does not take the target.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with pq.ParquetFile(source) as table, partial.open("wb") as file:
            schema = pa.schema([table.schema_arrow.field(name) for name in columns])
            with pa.ipc.new_file(file, schema) as writer:
                for batch in table.iter_batches(BATCH_ROWS, columns=list(columns)):
                    writer.write_batch(batch.select(list(columns)))
        partial.replace(target)
    except (pa.ArrowException, OSError) as error:
        partial.unlink(missing_ok=True)
        raise StorageError(f"Cannot unpack the rows of {source} into {target}: {error}. Free space and run again.") from error


class MappedRows(Sequence[dict[str, Any]]):
    """Rows of an Arrow file; the pages that are touched are in memory, and all processes of a machine share them."""

    def __init__(self, path: Path) -> None:
        """Map what `unpack_rows` wrote.

        Raises:
            StorageError: the file is missing or cut.
        """
        try:
            with pa.memory_map(str(path)) as file:
                reader = pa.ipc.open_file(file)
                self._batches: list[Any] = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        except (pa.ArrowException, OSError) as error:
            raise StorageError(f"Cannot read the unpacked rows {path}: {error}. Delete them and run again.") from error
        self._starts: list[int] = list(itertools.accumulate((batch.num_rows for batch in self._batches), initial=0))

    def __len__(self) -> int:
        """Count the rows."""
        return self._starts[-1]

    def __getitem__(self, index: Any) -> Any:
        """Give a row as a mapping, or the rows of a slice."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        batch, at = self._place(index)
        return {name: batch.column(name)[at].as_py() for name in batch.schema.names}

    def value(self, index: int, column: str) -> Any:
        """Give one value of a row."""
        batch, at = self._place(index)
        return batch.column(column)[at].as_py()

    def _place(self, index: int) -> tuple[Any, int]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = bisect.bisect_right(self._starts, index) - 1
        return self._batches[number], index - self._starts[number]
