"""An inverted index over prints, in SQL: which pictures have codes in common, and is that proved.

A posting says that a picture has a token: half of one of the codes in its print, in which two copies of a blob differ in
no bit more often than not. Pictures with tokens in common are candidates; only a proved overlap joins them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from components.backends.tables import Tables
from components.imaging import prints

TOKEN_BYTES = 4
INSERTED = 10_000
SPARSE = 60
"""A picture with fewer blobs cannot be asked for more than one token in common with another."""

_FIRST = prints.CODES_AT + 1
_TOKENS = f"""[hash(print[{_FIRST} + {prints.CODE_BYTES} * i : {_FIRST + TOKEN_BYTES - 1} + {prints.CODE_BYTES} * i])
    for i in range(1 + {{count}})]"""
_COUNT = "('0x' || hex(print[1:1]))::utinyint::bigint"


def number(tables: Tables, name: str, source: str, columns: str) -> None:
    """Make `name` (n, columns…, blobs) of the rows of `source` that have a print, counted in the order of the columns.

    Args:
        tables: the session.
        name: of the new table.
        source: a table or view with `print`.
        columns: what names a row there.
    """
    tables.run(
        f"""create or replace table {name} as
        select (row_number() over (order by {columns}) - 1)::integer as n, * from (
            select {columns}, max({_COUNT})::integer as blobs from {source} where octet_length(print) > 0 group by all)"""
    )


def post(tables: Tables, name: str, source: str, numbered: str, *, among: str = "") -> None:
    """Make `name` (token, n) of the prints in `source`; a token that a print has twice stands there once.

    Args:
        tables: the session.
        name: of the new table.
        source: a table or view with `print` and the columns that name a row.
        numbered: what `number` made of it.
        among: other postings; only tokens that they have are kept.
    """
    tokens = _TOKENS.format(count=_COUNT)
    tables.run(
        f"""create or replace table {name} as
        select token, n from (
            select unnest(list_distinct({tokens})) as token, n
            from {source} join {numbered} using ({_keys(tables, numbered)}) where octet_length(print) > 0)
        {f"where token in (select token from {among})" if among else ""}"""
    )


def proved(tables: Tables, pairs: str, first: str, second: str, *, overlap: float) -> Iterator[tuple[int, int]]:
    """Give the pairs (a, b) whose prints share content over at least `overlap` of one of the pictures.

    Args:
        tables: the session; nothing else may run in it meanwhile.
        pairs: a table (a, b) of numbers.
        first: a query (n, print) for a.
        second: a query (n, print) for b.
        overlap: least part of the smaller picture, 0..1.
    """
    sql = f"""select a, b, one.print as first, two.print as second
        from {pairs} join ({first}) one on one.n = a join ({second}) two on two.n = b"""
    for a, b, print_a, print_b in tables.tuples(sql, batch=1024):
        shared = prints.overlap(print_a, print_b)
        if shared is not None and shared.share >= overlap:
            yield a, b


def fill(tables: Tables, name: str, pairs: Iterable[tuple[int, int]]) -> None:
    """Make a table (a, b) of pairs of numbers, some thousands at a time."""
    tables.run(f"create or replace table {name} (a integer, b integer)")
    waiting = iter(pairs)
    while some := list(itertools.islice(waiting, INSERTED)):
        a, b = zip(*some, strict=True)
        tables.run(f"insert into {name} select unnest($a), unnest($b)", {"a": list(a), "b": list(b)})


def _keys(tables: Tables, numbered: str) -> str:
    """Columns of a numbered table that name its rows."""
    found = tables.rows(f"select column_name from (describe {numbered})")
    return ", ".join(row["column_name"] for row in found if row["column_name"] not in ("n", "blobs"))
