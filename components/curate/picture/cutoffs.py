"""What other cuts of the rank and moved limits would keep, with the pictures nearest to each cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from components.backends.pages.wording import count, number, share, signed
from components.backends.tables import Tables
from components.curate.picture.facts import VIEW
from components.curate.picture.sheets import Reader, Row, Sheet, chosen, first
from components.curate.picture.subject import Subject
from components.curate.select import kept_of_ranked
from components.curate.settings import CurateSettings

SHARES = (0.1, 0.2, 0.3)
"""Cuts that the paper looked at (section 3.4)."""
NEAREST = 8
"""Pictures shown on each side of a cut."""
FILTERED = "verdict <> 'failed' and reason not in ('duplicate_bytes', 'leak', 'too_small') and blur is not null"
"""Rows that the blur and flatness limits are applied to."""


@dataclass(frozen=True)
class Edge:
    """The rows on both sides of one cut, nearest first."""

    inside: str
    """Heading of those that pass."""
    outside: str
    within: Sequence[Row]
    without: Sequence[Row]
    caption: Callable[[Row], str] = lambda _: ""
    """The score that the cut is about; empty leaves what decided the row."""

    def sheets(self, reader: Reader) -> tuple[Sheet, Sheet]:
        """Read the pictures of both sides."""
        return (
            Sheet(self.inside, len(self.within), reader.thumbs(self.within, mark="in", caption=self.caption)),
            Sheet(self.outside, len(self.without), reader.thumbs(self.without, mark="out", caption=self.caption)),
        )


@dataclass(frozen=True)
class Cutoffs:
    """Tables and sheets of this section."""

    cuts: Sequence[Sequence[str]]
    """Share, kept by the rank, with the trusted, quality at the cut."""
    present: int
    """Which row of `cuts` the settings chose."""
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
        [f"best {100 * part:g} %", count(n), count(n + trusted), number(edges[part].within[0]["quality"] if n else None)]
        for part, n in kept.items()
    ]
    sheets = [edge.sheets(reader) for edge in (*edges.values(), *_at_the_limits(tables, subject.settings))]
    return Cutoffs(cuts, shares.index(subject.settings.keep_share), _moved(tables, subject.settings), sheets)


def _at_the_cuts(tables: Tables, kept: Mapping[float, int]) -> dict[float, Edge]:
    """Give the edge of each share that keeps something."""
    near = " or ".join(f"place between {n - NEAREST + 1} and {n + NEAREST}" for n in kept.values())
    origins = f"select place::varchar as name, [{{'origin': origin}}] as first from _ranked where {near}"
    rows = {int(place): row for place, (row,) in chosen(tables, origins).items()}

    def among(places: range) -> list[Row]:
        return [rows[place] for place in places if place in rows]

    edges = {}
    for part, n in kept.items():
        if n:
            within, without = among(range(n, n - NEAREST, -1)), among(range(n + 1, n + NEAREST + 1))
            name = f"Best {100 * part:g} %"
            edges[part] = Edge(f"{name}: the last inside", f"{name}: the first outside", within, without)
    return edges


def _at_the_limits(tables: Tables, settings: CurateSettings) -> list[Edge]:
    """Give the edge of each limit of the two filters, from one reading of the rows."""
    low, high, flat = settings.blur_minimum, settings.blur_maximum, settings.flat_share_maximum
    limits = [
        (f"Blur minimum {low:g}", "blur", f"blur >= {low!r}", "blur"),
        (f"Blur maximum {high:g}", "blur", f"blur <= {high!r}", "-blur"),
        (f"Flat share maximum {100 * flat:g} %", "flat_share", f"flat_share <= {flat!r}", "-flat_share"),
    ]
    sides = [
        f"struct_pack(name := '{name} {side}', first := {first(by, NEAREST)} filter ({where}))"
        for name, _, passes, inwards in limits
        for side, where, by in (("in", passes, inwards), ("out", f"not {passes}", f"-({inwards})"))
    ]
    once = f"select unnest([{', '.join(sides)}]) as edge from {VIEW} where {FILTERED} and shard is not null"
    rows = chosen(tables, f"select edge.name as name, edge.first as first from ({once})")
    captions: Mapping[str, Callable[[Row], str]] = {
        "blur": lambda row: f"blur {number(row['blur'])}",
        "flat_share": lambda row: f"{100 * row['flat_share']:.0f} % flat",
    }
    return [
        Edge(
            f"{name}: just passes",
            f"{name}: just fails",
            rows.get(f"{name} in", []),
            rows.get(f"{name} out", []),
            captions[score],
        )
        for name, score, _, _ in limits
    ]


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
            " = ".join([name, *(f"{value:g}" for value in changed.values())]),
            count(found[f"passing_{index}"]),
            share(found[f"passing_{index}"], found["judged"]),
            signed(found[f"passing_{index}"] - before) if index else "–",
            count(found[f"lost_{index}"]) if index else "–",
            count(found[f"unscored_{index}"]) if index else "–",
        ]
        for index, (name, changed) in enumerate(moves)
    ]


def _passes(settings: CurateSettings) -> str:
    """Give SQL for passing the blur and flatness limits."""
    return (
        f"coalesce(blur >= {settings.blur_minimum!r} and blur <= {settings.blur_maximum!r} "
        f"and flat_share <= {settings.flat_share_maximum!r}, false)"
    )
