"""Groups of pictures that show the same: re-encoded, rescaled, cropped, mirrored or turned copies.

Candidates have tokens in common (postings.py); a pair is joined only when its prints prove that they share content over
most of the smaller one. Of an original and its crop the crop is the smaller, so they belong together; two neighbouring
tiles do not.

Chains: in a row of pictures that each share most with the next, the first and the last may share nothing. So a group has a
centre, and each member is proved to share content with the centre itself: of the pictures that are linked somehow the one
with the most partners becomes a centre, those that were not candidates with it are compared with it, and what does not
belong to it is grouped in the same way among itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from components.backends.tables import Tables
from components.curate import postings

PART_POSTINGS = 32_000_000
"""Postings that are joined at a time."""
MOST_PAIRED = 16
"""Pictures with one token that are all paired; in larger sets each is paired with the two before it, so that the cost of a
token grows with its pictures alone, and copies, which have many tokens in common, still meet in most of them."""
LEAST_SHARED = 2
"""Tokens that make two pictures candidates."""

Pair = tuple[int, int]

_HITS = f"""insert into hits
with found as (select token, n from postings where token % $parts = $part),
repeated as (select token, count(*) as size from found group by token having count(*) > 1),
members as (
    select token, n, size, row_number() over listed as place, lag(n) over listed as before, lag(n, 2) over listed as earlier
    from found join repeated using (token) window listed as (partition by token order by n))
select a.n, b.n from members a join members b on a.token = b.token and a.place < b.place
where a.size <= {MOST_PAIRED} and b.size <= {MOST_PAIRED}
union all select before, n from members where size > {MOST_PAIRED} and place > 1
union all select earlier, n from members where size > {MOST_PAIRED} and place > 2"""
_CANDIDATES = f"""create or replace table candidates as
select a, b from (select a, b, count(*) as shared from hits group by a, b) as counted
join numbered one on one.n = a join numbered two on two.n = b
where shared >= {LEAST_SHARED} or least(one.blobs, two.blobs) < {postings.SPARSE}"""
_PRINTS = "select n, print from luma join numbered using (id)"


def find_groups(tables: Tables, *, overlap: float) -> None:
    """Make `groups` (id, group) of the pictures in `luma` that are not the only one of their kind.

    Args:
        tables: with `luma` (id, print and scores), one row per picture.
        overlap: two pictures are one when they share content over at least this part of the smaller one.
    """
    candidates(tables)
    pairs = list(postings.proved(tables, "candidates", _PRINTS, _PRINTS, overlap=overlap))
    postings.fill(tables, "missing", unproved(pairs))
    pairs += postings.proved(tables, "missing", _PRINTS, _PRINTS, overlap=overlap)
    postings.fill(tables, "joined", ((n, group[0]) for group in stars(pairs) for n in group))
    tables.run(
        """create or replace table groups as select one.id, two.id as "group"
        from joined join numbered one on one.n = a join numbered two on two.n = b"""
    )
    for name in ("numbered", "postings", "hits", "candidates", "missing", "joined"):
        tables.run(f"drop table {name}")


def candidates(tables: Tables) -> None:
    """Make `candidates` (a, b), numbers in `numbered` of pictures of `luma` that have tokens in common."""
    postings.number(tables, "numbered", "luma", "id")
    postings.post(tables, "postings", "luma", "numbered")
    tables.run("create or replace table hits (a integer, b integer)")
    count = int(tables.one("select count(*) as n from postings")["n"])
    parts = 1 + count // PART_POSTINGS
    for part in range(parts):
        tables.run(_HITS, {"parts": parts, "part": part})
    tables.run(_CANDIDATES)


def unproved(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """Give the pairs of a centre and a picture that is linked to it only through others."""
    partners = _partners(pairs)
    for linked in _components(partners):
        centre = _centre(linked, partners)
        yield from ((centre, n) for n in linked if n != centre and n not in partners[centre])


def stars(pairs: Iterable[Pair]) -> Iterator[list[int]]:
    """Cut what is linked into groups of a centre and its partners; each is sorted and has two members or more."""
    partners = _partners(pairs)
    for linked in _components(partners):
        left = set(linked)
        while len(left) > 1:
            among = {n: partners[n] & left for n in left}
            centre = _centre(sorted(left), among)
            group = {centre} | among[centre]
            left -= group
            if len(group) > 1:
                yield sorted(group)


def _partners(pairs: Iterable[Pair]) -> dict[int, set[int]]:
    partners: dict[int, set[int]] = defaultdict(set)
    for a, b in pairs:
        partners[a].add(b)
        partners[b].add(a)
    return partners


def _components(partners: dict[int, set[int]]) -> Iterator[list[int]]:
    """Sorted sets of pictures that are linked somehow."""
    seen: set[int] = set()
    for start in sorted(partners):
        if start in seen:
            continue
        seen.add(start)
        linked, waiting = [start], [start]
        while waiting:
            for n in partners[waiting.pop()] - seen:
                seen.add(n)
                linked.append(n)
                waiting.append(n)
        yield sorted(linked)


def _centre(linked: list[int], partners: dict[int, set[int]]) -> int:
    """The picture with the most partners, the first of several."""
    return max(linked, key=lambda n: (len(partners[n]), -n))
