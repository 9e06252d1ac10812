"""One DuckDB session over manifests and parts, in bounded memory; the one home of duckdb.

What stages say about millions of rows they say in SQL here: rows are never all Python objects at once, what does not fit
into the memory limit goes to a scratch folder, and results leave as a sorted manifest or as a stream of rows.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from components.backends import manifest as manifests
from components.backends import scratch
from components.backends.storage import Storage
from components.errors import ManifestError
from components.records import Manifest, ManifestKind

MEMORY_MIB = 1024
"""What DuckDB may hold before it writes to its scratch folder."""
THREADS = 2
FILES_A_VIEW = 4096
"""Parts are copied into a table this many files at a time."""


Values = Sequence[Any] | Mapping[str, Any]
"""What `?`, or `$name`, stands for in a statement."""


class Tables:
    """A session; use it as a context manager. Names of tables and columns in `sql` are trusted, values are parameters."""

    def __init__(self, store: Storage, *, memory_mib: int = MEMORY_MIB) -> None:
        """Open an empty session.

        Args:
            store: where manifests and parts live; remote ones are copied to its cache.
            memory_mib: limit of DuckDB's own memory.
        """
        self.store = store
        self._scratch = scratch.make("tables")
        config: dict[str, Any] = {
            "memory_limit": f"{memory_mib}MiB",
            "threads": THREADS,
            "temp_directory": str(self._scratch),
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        self.connection = duckdb.connect(str(self._scratch / "session.duckdb"), config=config)

    def __enter__(self) -> Self:
        """Give the session."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it and delete what it wrote to disk."""
        self.connection.close()
        del self.connection  # a traceback may keep this object until the interpreter ends, which DuckDB reports as a leak
        shutil.rmtree(self._scratch, ignore_errors=True)

    def manifest(self, name: str, manifest: Manifest, *, numbered: bool = False) -> None:
        """Let `name` stand for the rows of a manifest; numbered ones have a column `file_row_number` from 0.

        Raises:
            ManifestError: the file is missing or was changed.
        """
        path = manifests.checked_path(self.store, manifest)
        self.connection.read_parquet(str(path), file_row_number=numbered).create_view(name)

    def parts(self, name: str, kind: str, keys: Sequence[str]) -> None:
        """Gather the rows of part files in a table; `kind` gives the columns also where there is no part.

        Raises:
            StorageError: a part is missing.
        """
        self.table(name, kind)
        columns = ", ".join(f'"{column}"' for column in manifests.SCHEMAS[kind].names)
        for start in range(0, len(keys), FILES_A_VIEW):
            paths = [str(self.store.fetch(key)) for key in keys[start : start + FILES_A_VIEW]]
            self.connection.execute(f'insert into "{name}" select {columns} from read_parquet(?)', [paths])

    def view(self, name: str, kind: str, keys: Sequence[str]) -> None:
        """Let `name` stand for the rows of part files without copying them; each query reads only the columns it names.

        Raises:
            StorageError: a part is missing.
        """
        if not keys:
            self.table(name, kind)
            return
        columns = ", ".join(f'"{column}"' for column in manifests.SCHEMAS[kind].names)
        paths = ", ".join("'" + str(self.store.fetch(key)).replace("'", "''") + "'" for key in keys)
        self.connection.execute(f'create or replace view "{name}" as select {columns} from read_parquet([{paths}])')

    def table(self, name: str, kind: str, rows: Sequence[Mapping[str, Any]] = ()) -> None:
        """Make a table with the columns of a kind, and put rows into it."""
        self.connection.register("_given", manifests.table(kind, rows))
        self.connection.execute(f'create or replace table "{name}" as select * from _given')
        self.connection.unregister("_given")

    def run(self, sql: str, values: Values = ()) -> None:
        """Execute a statement that gives nothing back, for example `create table … as select …`."""
        self.connection.execute(sql, _given(values))

    def rows(self, sql: str, values: Values = ()) -> list[dict[str, Any]]:
        """Give the result as one mapping per row; for results that fit into memory."""
        return self._result(sql, values).to_arrow_table().to_pylist()  # type: ignore[no-any-return]

    def one(self, sql: str, values: Values = ()) -> dict[str, Any]:
        """Give the one row of a result, for example of counts."""
        found = self.rows(sql, values)
        if len(found) != 1:
            raise ManifestError(f"Expected one row, got {len(found)}: {sql[:200]}")
        return found[0]

    def stream(self, sql: str, values: Values = (), *, batch: int = 8192) -> Iterator[dict[str, Any]]:
        """Give the rows one by one; only a batch of them is in memory. Run nothing else in the session meanwhile."""
        for piece in self._result(sql, values).to_arrow_reader(batch):
            yield from piece.to_pylist()

    def tuples(self, sql: str, values: Values = (), *, batch: int = 8192) -> Iterator[tuple[Any, ...]]:
        """Give the rows one by one as tuples, several times as fast as `stream`."""
        for piece in self._result(sql, values).to_arrow_reader(batch):
            yield from zip(*(column.to_pylist() for column in piece.columns), strict=True)

    def batches(self, sql: str, values: Values = (), *, batch: int = manifests.GROUP_ROWS) -> Iterator[pa.RecordBatch]:
        """Give the result as Arrow record batches."""
        yield from self._result(sql, values).to_arrow_reader(batch)

    def write(self, kind: ManifestKind, sql: str, *, parent: str = "", settings: str = "") -> Manifest:
        """Write the rows of a query as a manifest, in the order of its kind; the bytes depend on the rows alone.

        Args:
            kind: decides columns and order.
            sql: a query that gives the columns of the kind; a missing one is null.
            parent: sha256 of the manifest these rows were made from.
            settings: hash of the settings that made them.

        Raises:
            ManifestError: the query gives a column that the kind does not know.
        """
        schema = manifests.SCHEMAS[kind]
        given = self.connection.sql(f"select * from ({sql}) limit 0").columns
        if unknown := set(given) - set(schema.names):
            raise ManifestError(f"Expected the columns of a {kind} manifest, got also: {', '.join(sorted(unknown))}.")
        columns = ", ".join(f'"{name}"' if name in given else f'null as "{name}"' for name in schema.names)
        order = ", ".join(f'"{name}"' for name in manifests.ORDER[kind])
        ordered = self.batches(f"select {columns} from ({sql}) order by {order}")
        return manifests.write_batches(self.store, kind, ordered, parent=parent, settings=settings)

    def part(self, kind: str, sql: str, key: str) -> str:
        """Write the rows of a query as one part, in the order of its columns, and give the key back."""
        schema = manifests.SCHEMAS[kind]
        columns = ", ".join(f'"{name}"' for name in schema.names)
        found = self._result(f"select {columns} from ({sql}) order by all", ()).to_arrow_table()
        return manifests.put_part(self.store, key, found.cast(schema))

    def _result(self, sql: str, values: Values) -> Any:
        return self.connection.sql(sql, params=_given(values) or None)


def _given(values: Values) -> Any:
    return dict(values) if isinstance(values, Mapping) else list(values)
