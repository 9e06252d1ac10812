"""What other cuts of the rank and moved limits would keep, with the pictures nearest to each cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from components.backends.tables import Tables
from components.curate.picture.facts import VIEW
from components.curate.picture.sheets import Reader, Row, Sheet, chosen, first
from components.curate.picture.subject import Subject
from components.curate.picture.wording import count, number, share, signed
from components.curate.select import kept_of_ranked
from components.curate.settings import CurateSettings

SHARES = (0.1, 0.2, 0.3)
"""Cuts that the paper looked at (section 3.4)."""
NEAREST = 8
"""Pictures shown on each side of a cut."""
FILTERED = "verdict <> 'failed' and reason not in ('duplicate_bytes', 'leak', 'too_small') and blur is not null"
"""Rows that the blur and flatness limits are applied to."""


@dataclass(frozen=True)
class Cutoffs:
    """Tables and sheets of this section."""

    cuts: Sequence[Sequence[str]]
    """Share, kept by the rank, with the trusted, quality at the cut."""
    present: int
    """Which row of `cuts` the settings chose; -1 for none."""
    moved: Sequence[Sequence[str]]
    """Limit, passing, change, of the kept lost, without a score."""
    sheets: Sequence[tuple[Sheet, Sheet]]
    """(just inside, just outside) of each cut."""


def cutoffs(tables: Tables, reader: Reader, subject: Subject, trusted: int) -> Cutoffs:
    """Count and show what lies at each cut.

    Args:
        tables: with the view of the images.
        reader: makes the thumbs.
        subject: what the page is about.
        trusted: kept rows that skip the rank.
    """
    direction = "desc" if subject.metric.higher_is_better else "asc"
    tables.run(
        "create or replace temp table _ranked as select origin, "
        f"row_number() over (order by quality {direction}, id, origin) as place from {VIEW} "
        "where quality is not null and ((verdict = 'kept' and not trusted) or reason = 'quality_rank')"
    )
    ranked = tables.one("select count(*) as n from _ranked")["n"]
    shares = sorted({*SHARES, subject.settings.keep_share})
    kept = {part: kept_of_ranked(ranked, part) for part in shares}
    edges = _at_the_cuts(tables, kept)
    cuts = [
        [f"best {100 * part:g} %", count(n), count(n + trusted), number(edges[part][0][0]["quality"] if n else None)]
        for part, n in kept.items()
    ]
    pairs = [
        (f"Best {100 * part:g} %", ("the last inside", inside), ("the first outside", outside))
        for part, (inside, outside) in edges.items()
    ]
    pairs += _at_the_limits(tables, subject.settings)
    sheets = [
        (
            Sheet(f"{name}: {near}", len(inside), reader.thumbs(inside, mark="in", caption=_score(name))),
            Sheet(f"{name}: {far}", len(outside), reader.thumbs(outside, mark="out", caption=_score(name))),
        )
        for name, (near, inside), (far, outside) in pairs
    ]
    return Cutoffs(cuts, shares.index(subject.settings.keep_share), _moved(tables, subject.settings), sheets)


def _at_the_cuts(tables: Tables, kept: Mapping[float, int]) -> dict[float, tuple[list[Row], list[Row]]]:
    """Give the rows just inside (worst first) and just outside (best first) of each cut that keeps something."""
    near = " or ".join(f"place between {n - NEAREST + 1} and {n + NEAREST}" for n in kept.values())
    origins = f"select place::varchar as name, [{{'origin': origin}}] as first from _ranked where {near}"
    rows = {int(place): row for place, (row,) in chosen(tables, origins).items()}

    def among(places: range) -> list[Row]:
        return [rows[place] for place in places if place in rows]

    return {part: (among(range(n, n - NEAREST, -1)), among(range(n + 1, n + NEAREST + 1))) for part, n in kept.items() if n}


def _at_the_limits(tables: Tables, settings: CurateSettings) -> list[tuple[str, tuple[str, list[Row]], tuple[str, list[Row]]]]:
    """Give the rows nearest to each limit of the two filters, nearest first."""
    low, high, flat = settings.blur_minimum, settings.blur_maximum, settings.flat_share_maximum
    limits = [
        (f"Blur minimum {low:g}", f"blur >= {low!r}", "blur", f"blur < {low!r}", "-blur"),
        (f"Blur maximum {high:g}", f"blur <= {high!r}", "-blur", f"blur > {high!r}", "blur"),
        (
            f"Flat share maximum {100 * flat:g} %",
            f"flat_share <= {flat!r}",
            "-flat_share",
            f"flat_share > {flat!r}",
            "flat_share",
        ),
    ]
    edges = [
        f"struct_pack(name := '{name} {side}', first := {first(by, NEAREST)} filter ({where}))"
        for name, passes, inwards, fails, outwards in limits
        for side, where, by in (("in", passes, inwards), ("out", fails, outwards))
    ]
    once = f"select unnest([{', '.join(edges)}]) as edge from {VIEW} where {FILTERED} and shard is not null"
    rows = chosen(tables, f"select edge.name as name, edge.first as first from ({once})")
    return [
        (name, ("just passes", rows.get(f"{name} in", [])), ("just fails", rows.get(f"{name} out", []))) for name, *_ in limits
    ]


def _score(edge: str) -> Callable[[Row], str]:
    """Caption of the pictures at an edge: the score that it is about; empty leaves what decided the row."""
    if edge.startswith("Blur"):
        return lambda row: f"blur {number(row['blur'])}"
    if edge.startswith("Flat"):
        return lambda row: f"{100 * row['flat_share']:.0f} % flat"
    return lambda _: ""


def _moved(tables: Tables, settings: CurateSettings) -> list[list[str]]:
    """Count what passes both filters when one limit moves."""
    moves: list[tuple[str, dict[str, float]]] = [("as set", {})]
    moves += [(f"blur minimum × {factor:g}", {"blur_minimum": settings.blur_minimum * factor}) for factor in (0.5, 0.75, 1.5, 2)]
    moves += [(f"blur maximum × {factor:g}", {"blur_maximum": settings.blur_maximum * factor}) for factor in (0.5, 0.75, 1.5, 2)]
    moves += [
        (f"flat share maximum {signed(step)}", {"flat_share_maximum": round(settings.flat_share_maximum + step, 9)})
        for step in (-0.2, -0.1, 0.1, 0.2)
        if 0 <= settings.flat_share_maximum + step <= 1
    ]
    now = _passes(settings)
    columns = [f"count(*) filter ({FILTERED}) as judged"]
    for index, (_, changed) in enumerate(moves):
        then = _passes(settings.model_copy(update=changed))
        columns += [
            f"count(*) filter ({then}) as passing_{index}",
            f"count(*) filter ({now} and not ({then}) and verdict = 'kept') as lost_{index}",
            f"count(*) filter ({then} and quality is null and not ({now})) as unscored_{index}",
        ]
    found = tables.one(f"select {', '.join(columns)} from {VIEW} where {FILTERED}")
    before = found["passing_0"]
    return [
        [
            _named(name, changed),
            count(found[f"passing_{index}"]),
            share(found[f"passing_{index}"], found["judged"]),
            signed(found[f"passing_{index}"] - before) if index else "–",
            count(found[f"lost_{index}"]) if index else "–",
            count(found[f"unscored_{index}"]) if index else "–",
        ]
        for index, (name, changed) in enumerate(moves)
    ]


def _named(name: str, changed: dict[str, float]) -> str:
    for value in changed.values():
        return f"{name} = {value:g}"
    return name


def _passes(settings: CurateSettings) -> str:
    """Give SQL for passing the blur and flatness limits."""
    return (
        f"coalesce(blur >= {settings.blur_minimum!r} and blur <= {settings.blur_maximum!r} "
        f"and flat_share <= {settings.flat_share_maximum!r}, false)"
    )
