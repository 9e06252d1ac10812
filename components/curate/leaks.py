"""Pictures that share content with a registered benchmark: training on them would make its scores worthless.

A benchmark is small beside the collection, so one token in common is enough to compare two prints; tokens that many
pictures have must come in twos, and those of smooth round blobs, which a share of all pictures has, say nothing.
"""

from __future__ import annotations

from components.backends.tables import Tables
from components.curate import postings

RARE = 100
"""A token of so few pictures is reason enough to compare."""
COMMON = 1000
COMMON_SHARE = 0.001
"""A token of more pictures than both the number and the share of all says nothing."""

_CANDIDATES = f"""create or replace table candidates as
with hits as (
    select postings.n, tested.n as m, count(*) over (partition by token, tested.n) as size
    from postings join tested using (token)),
telling as (
    select n, m, size from hits where size <= greatest({COMMON}, {COMMON_SHARE} * (select count(*) from numbered)))
select n as a, m as b from telling group by n, m having count(*) > 1 or min(size) <= {RARE}"""
_PRINTS = "select n, print from luma join numbered using (id)"
_BENCHMARK_PRINTS = "select n, print from benchmarks join targets using (benchmark, benchmark_id)"


def find_leaks(tables: Tables, *, overlap: float) -> None:
    """Make `leaks` (id, benchmark, benchmark_id); of several pictures that an image leaks from, the first by name.

    Args:
        tables: with `luma` (id, print and scores) and `benchmarks` (benchmark, benchmark_id, print).
        overlap: an image leaks when it shares content over at least this part of itself or of a benchmark's picture.
    """
    candidates(tables)
    first: dict[int, int] = {}
    for a, b in postings.proved(tables, "candidates", _PRINTS, _BENCHMARK_PRINTS, overlap=overlap):
        first[a] = min(b, first.get(a, b))
    postings.fill(tables, "leaking", first.items())
    tables.run(
        """create or replace table leaks as select id, benchmark, benchmark_id
        from leaking join numbered on numbered.n = a join targets on targets.n = b"""
    )
    for name in ("numbered", "targets", "postings", "tested", "candidates", "leaking"):
        tables.run(f"drop table {name}")


def candidates(tables: Tables) -> None:
    """Make `candidates` (a, b): numbers in `numbered` and in `targets` of pictures that have tokens in common."""
    postings.number(tables, "numbered", "luma", "id")
    postings.number(tables, "targets", "benchmarks", "benchmark, benchmark_id")
    postings.post(tables, "tested", "benchmarks", "targets")
    postings.post(tables, "postings", "luma", "numbered", among="tested")
    tables.run(_CANDIDATES)
