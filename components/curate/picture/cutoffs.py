"""What other cuts of the rank and moved limits would keep, with the pictures nearest to each cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from components.backends.tables import Tables
from components.curate.picture.facts import VIEW
from components.curate.picture.sheets import Reader, Sheet, sample
from components.curate.picture.subject import Subject
from components.curate.picture.wording import count, number, share
from components.curate.settings import CurateSettings

SHARES = (0.1, 0.2, 0.3)
"""Cuts that the paper looked at (section 3.4)."""
NEAREST = 6
"""Pictures shown on each side of a cut."""
FILTERED = "verdict <> 'failed' and reason not in ('duplicate_bytes', 'too_small') and blur is not null"
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
        "create or replace temp table _ranked as select origin, "  # noqa: S608
        f"row_number() over (order by quality {direction}, id, origin) as place from {VIEW} "
        "where quality is not null and ((verdict = 'kept' and not trusted) or reason = 'quality_rank')"
    )
    tables.run(f"create or replace view _places as select i.*, place from {VIEW} i join _ranked using (origin)")  # noqa: S608
    ranked = tables.one("select count(*) as n from _ranked")["n"]
    shares = sorted({*SHARES, subject.settings.keep_share})
    kept = [math.ceil(round(part * ranked, 9)) for part in shares]
    edges = tables.rows(f"select place, quality from _places where place in ({', '.join(map(str, kept))})") if ranked else []  # noqa: S608
    qualities = {row["place"]: row["quality"] for row in edges}
    cuts = [
        [f"best {100 * part:g} %", count(n), count(n + trusted), number(qualities.get(n))] for part, n in zip(shares, kept, strict=True)
    ]
    sheets = [_rank_sheet(tables, reader, part, n) for part, n in zip(shares, kept, strict=True) if n]
    sheets += _limit_sheets(tables, reader, subject.settings)
    return Cutoffs(cuts, shares.index(subject.settings.keep_share), _moved(tables, subject.settings), sheets)


def _rank_sheet(tables: Tables, reader: Reader, part: float, kept: int) -> tuple[Sheet, Sheet]:
    inside = sample(tables, f"place > {kept - NEAREST} and place <= {kept}", NEAREST, view="_places", order="place desc")
    outside = sample(tables, f"place > {kept}", NEAREST, view="_places", order="place")
    name = f"Best {100 * part:g} %"
    return (
        Sheet(f"{name}: the last inside", len(inside), reader.thumbs(inside, mark="in")),
        Sheet(f"{name}: the first outside", len(outside), reader.thumbs(outside, mark="out")),
    )


def _limit_sheets(tables: Tables, reader: Reader, settings: CurateSettings) -> list[tuple[Sheet, Sheet]]:
    """Show what lies nearest to each limit of the two filters."""
    low, high, flat = settings.blur_minimum, settings.blur_maximum, settings.flat_share_maximum
    edges = [
        (f"Blur minimum {low:g}", f"blur >= {low}", "blur", f"blur < {low}", "blur desc"),
        (f"Blur maximum {high:g}", f"blur <= {high}", "blur desc", f"blur > {high}", "blur"),
        (
            f"Flat share maximum {100 * flat:g} %",
            f"flat_share <= {flat}",
            "flat_share desc",
            f"flat_share > {flat}",
            "flat_share",
        ),
    ]
    found = []
    for name, inside, nearest, outside, beyond in edges:
        column = nearest.partition(" ")[0]

        def caption(row: object, column: str = column) -> str:
            assert isinstance(row, dict)
            return f"blur {number(row['blur'])}" if column == "blur" else f"{100 * row['flat_share']:.0f} % flat"

        within = sample(tables, f"{FILTERED} and {inside}", NEAREST, order=f"{nearest}, id, origin")
        without = sample(tables, f"{FILTERED} and {outside}", NEAREST, order=f"{beyond}, id, origin")
        found.append(
            (
                Sheet(f"{name}: just passes", len(within), reader.thumbs(within, mark="in", caption=caption)),
                Sheet(f"{name}: just fails", len(without), reader.thumbs(without, mark="out", caption=caption)),
            )
        )
    return found


def _moved(tables: Tables, settings: CurateSettings) -> list[list[str]]:
    """Count what passes both filters when one limit moves."""
    moves: list[tuple[str, dict[str, float]]] = [("as set", {})]
    moves += [(f"blur minimum × {factor:g}", {"blur_minimum": settings.blur_minimum * factor}) for factor in (0.5, 0.75, 1.5, 2)]
    moves += [(f"blur maximum × {factor:g}", {"blur_maximum": settings.blur_maximum * factor}) for factor in (0.5, 0.75, 1.5, 2)]
    moves += [
        (f"flat share maximum {step:+.1f}", {"flat_share_maximum": round(settings.flat_share_maximum + step, 9)})
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
    found = tables.one(f"select {', '.join(columns)} from {VIEW} where {FILTERED}")  # noqa: S608
    before = found["passing_0"]
    return [
        [
            _named(name, changed),
            count(found[f"passing_{index}"]),
            share(found[f"passing_{index}"], found["judged"]),
            f"{found[f'passing_{index}'] - before:+,}" if index else "–",
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
