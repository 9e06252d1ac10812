"""Rows of lists of addresses: Parquet, CSV, TSV or JSON lines; plain, gzipped or inside a tar; never a whole list at once."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from components.backends.parquet import ParquetRows
from components.errors import SourceError, StorageError

URL_COLUMNS = ("photo_image_url", "image_url", "img_url", "url", "uri")
LICENCE_COLUMNS = ("licence", "license")
_ARCHIVE = re.compile(r"\.(tar|tar\.gz|tgz)$", re.IGNORECASE)
_LIST = re.compile(r"\.(parquet|csv\d*|tsv\d*|jsonl|ndjson)(\.gz)?$", re.IGNORECASE)


class Columns(NamedTuple):
    """Columns to take, by name; an empty name takes the first that is known."""

    url: str = ""
    licence: str = ""


class Row(NamedTuple):
    """One row of a list; a value that is missing, broken or no text is empty."""

    file: str
    """The list's path below the given place; inside an archive, after the archive's."""
    number: int
    """From 0; blank lines are no rows, broken ones are."""
    url: str
    licence: str


Values = Iterator[tuple[object, object]]


class _NoUrlColumn(Exception):
    """A table without addresses, such as the keywords beside a list of photos; it is left out."""


def rows(place: Path, columns: Columns) -> Iterator[Row]:
    """Give the rows of every list at a place, in the order of their names.

    Args:
        place: a list, an archive of lists, or a folder of either.
        columns: which columns hold what.

    Raises:
        SourceError: nothing there is a list with such a column, or one cannot be read to its end.
    """
    without: list[str] = []
    name, number = place.name, -1
    try:
        for name, file in _lists(place):
            try:
                for number, (url, licence) in enumerate(_values(name, file, columns)):
                    yield Row(name, number, _word(url), _word(licence))
            except _NoUrlColumn as error:
                without.append(f"{name} with the columns {error}")
    except (OSError, EOFError, tarfile.TarError, StorageError, zlib.error) as error:
        raise SourceError(f"Cannot read the list '{name}' to its end: {error}. Is it cut? Fetch it again.") from error
    if number < 0:
        raise SourceError(
            f"Expected a Parquet, CSV, TSV or JSONL list at '{place}' with a column {columns.url or ', '.join(URL_COLUMNS)}, "
            f"found {'; '.join(without) or 'no row'}. Check the path or set ingest.urls.url_column."
        )


def _lists(place: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Open the lists at a place one after the other."""
    if not place.exists():
        raise SourceError(f"Expected a list of addresses, '{place}' does not exist. Check the path.")
    paths = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
    for path in paths:
        name = path.relative_to(place).as_posix() if place.is_dir() else path.name
        with path.open("rb") as file:
            if _ARCHIVE.search(name):
                yield from _inside(name, file)
            elif _LIST.search(name):
                yield name, file


def _inside(archive: str, file: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """Open the lists of an archive in its order; each is read before the next is looked for."""
    names: set[str] = set()
    with tarfile.open(fileobj=_unzipped(archive.replace(".tgz", ".gz"), file), mode="r:") as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.isreg() and _LIST.search(member.name) else None
            if stream is None:
                continue
            if member.name in names:
                raise SourceError(f"Expected lists with different names in {archive}, found '{member.name}' twice. Unpack it.")
            names.add(member.name)
            yield f"{archive}/{member.name}", stream


def _unzipped(name: str, file: IO[bytes]) -> IO[bytes]:
    return cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if name.lower().endswith(".gz") else file


def _values(name: str, file: IO[bytes], columns: Columns) -> Values:
    """Give (url, licence) of each row of one list."""
    plain = _unzipped(name, file)
    kind = name.lower().removesuffix(".gz").rpartition(".")[2].rstrip("0123456789")
    if kind == "parquet":
        return _parquet(plain, columns)
    if kind in ("jsonl", "ndjson"):
        return _json_lines(plain, columns)
    return _delimited(plain, columns, "\t" if kind == "tsv" else ",")


def _parquet(file: IO[bytes], columns: Columns) -> Values:
    with tempfile.TemporaryFile() as copy:
        if type(file) is not io.BufferedReader:  # a footer is read first, so what cannot seek is copied to disk
            shutil.copyfileobj(file, copy)
            file = copy
        table = ParquetRows(file)
        url, licence = _chosen(columns, table.names)
        for values in table.tuples([url, licence] if licence else [url]):
            yield values[0], values[-1] if licence else ""


def _delimited(file: IO[bytes], columns: Columns, delimiter: str) -> Values:
    lines = csv.reader(io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline=""), delimiter=delimiter)
    names = next(lines, [])
    url, licence = _chosen(columns, names)
    at_url, at_licence = names.index(url), names.index(licence) if licence else -1
    for line in _unbroken(lines):
        if line:
            yield line[at_url] if at_url < len(line) else "", line[at_licence] if 0 <= at_licence < len(line) else ""


def _unbroken(lines: Any) -> Iterator[list[str]]:
    """Give a row of nothing for one that breaks the rules, and go on."""
    while True:
        try:
            yield next(lines)
        except csv.Error:
            yield [""]
        except StopIteration:
            return


def _json_lines(file: IO[bytes], columns: Columns) -> Values:
    for line in file:
        if line.strip():
            said = _parsed(line)
            yield _first(said, columns.url, URL_COLUMNS), _first(said, columns.licence, LICENCE_COLUMNS)


def _parsed(line: bytes) -> dict[str, object]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _first(said: dict[str, object], name: str, known: Sequence[str]) -> object:
    if name:
        return said.get(name)
    return said.get(_known(said, known))


def _chosen(columns: Columns, names: Sequence[str]) -> tuple[str, str]:
    """Find the two columns; the second is empty where there is none."""
    url = columns.url if columns.url in names else "" if columns.url else _known(names, URL_COLUMNS)
    if not url:
        raise _NoUrlColumn(", ".join(names[:20]) or "none")
    if columns.licence and columns.licence not in names:
        raise SourceError(f"Expected the column '{columns.licence}' (ingest.urls.licence_column), found: {', '.join(names)}.")
    return url, columns.licence or _known(names, LICENCE_COLUMNS)


def _known(names: Iterable[str], known: Sequence[str]) -> str:
    """Find the first known name, in any case; empty where there is none."""
    lower = {name.lower(): name for name in names}
    return next((lower[name] for name in known if name in lower), "")


def _word(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
