"""Parquet files that others made, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
