"""What changed between two image manifests: rows, verdicts, sides of the split, scores; all in SQL.

A row is found again by its origin, and one whose origin is gone by its content (`id`). The same origin with other content
is `replaced`, the same content under another origin is `renamed`.
"""

from __future__ import annotations

from typing import Any

from components.backends.tables import Tables
from components.records import Manifest, Record

SCORES = ("blur", "flat_share", "quality")
MARGIN = 1e-9
"""Relative difference of two scores that are taken for equal."""
_VALUES = ("outcome", "split", "related", *SCORES)

_SIDE = """create or replace view {name} as
select id, origin, case when verdict = 'kept' then 'kept' else verdict || ':' || reason end as outcome,
    split, related, blur, flat_share, quality from {name}_rows"""
_MATCHED = """create or replace table matched as
select case when a.origin is null then 'added' when b.origin is null then 'removed'
    when a.id <> b.id then 'replaced' else 'same' end as change,
    a.origin as old_origin, b.origin as new_origin, a.id as old_id, b.id as new_id, {values}
from old_side a full join new_side b on a.origin = b.origin"""
_RENAMED = """create or replace table renamed as
with gone as (select *, row_number() over (partition by old_id order by old_origin) as nth
    from matched where change = 'removed' and old_id <> ''),
come as (select *, row_number() over (partition by new_id order by new_origin) as nth
    from matched where change = 'added' and new_id <> '')
select 'renamed' as change, gone.old_origin, come.new_origin, gone.old_id, come.new_id, {values}
from gone join come on gone.old_id = come.new_id and gone.nth = come.nth"""
_COMPARED = """create or replace view compared as
select *, old_outcome is not null and new_outcome is not null as both_sides from (
    select * from matched
    where not (change = 'removed' and old_origin in (select old_origin from renamed))
        and not (change = 'added' and new_origin in (select new_origin from renamed))
    union all select * from renamed)"""
_EXAMPLES = """select * from (
    select *, {cell} as cell, row_number() over (partition by {cell} order by coalesce(new_origin, old_origin)) as nth
    from compared where {where}) where nth <= ? order by cell, nth"""


class Example(Record):
    """One row that changed; what one side lacks is null."""

    old_origin: str | None
    new_origin: str | None
    old_outcome: str | None
    """`kept`, `rejected:<reason>` or `failed:<reason>`."""
    new_outcome: str | None
    old_related: str | None
    new_related: str | None
    old_scores: dict[str, float | None]
    new_scores: dict[str, float | None]


class Change(Record):
    """One kind of change: how many rows, and some of them."""

    kind: str
    """`added`, `removed`, `replaced`, `renamed`, or `<outcome> -> <outcome>`."""
    rows: int
    examples: tuple[Example, ...] = ()


class ScoreChange(Record):
    """How one score changed over the rows that both sides have."""

    score: str
    changed: int
    """Rows with a value on both sides that differs by more than rounding."""
    gained: int
    """Rows with a value on the new side only."""
    lost: int
    largest: float | None
    """Largest difference, new minus old."""
    origin: str | None
    """Row of the largest difference."""


class Compared(Record):
    """All that changed from the old rows to the new ones."""

    same: int
    """Rows with the same origin and content."""
    rows: tuple[Change, ...]
    """Rows that came, went or changed their content or name."""
    verdicts: tuple[Change, ...]
    """The matrix of outcomes over rows that both sides have, off its diagonal; most rows first."""
    sides: dict[str, int]
    """Rows that changed the side of the split, by `train -> test` and the like."""
    scores: tuple[ScoreChange, ...]


def compare(tables: Tables, old: Manifest, new: Manifest, *, examples: int = 3) -> Compared:
    """Compare two image manifests.

    Args:
        tables: an open session; its names `old_side`, `new_side`, `matched`, `renamed`, `compared` are taken.
        old: image manifest.
        new: image manifest.
        examples: rows to show for each kind of change.

    Raises:
        ManifestError: a manifest is missing or was changed.
    """
    for name, manifest in (("old_side", old), ("new_side", new)):
        tables.manifest(f"{name}_rows", manifest)
        tables.run(_SIDE.format(name=name))
    tables.run(_MATCHED.format(values=_both("a.{0}", "b.{0}")))
    tables.run(_RENAMED.format(values=_both("gone.old_{0}", "come.new_{0}")))
    tables.run(_COMPARED)
    counts = {row["change"]: row["n"] for row in tables.rows("select change, count(*) as n from compared group by change")}
    turned = "old_outcome || ' -> ' || new_outcome"
    return Compared(
        same=counts.pop("same", 0),
        rows=_changes(tables, counts, "change", "change <> 'same'", examples),
        verdicts=_changes(tables, _counts(tables, "outcome"), turned, "both_sides and old_outcome <> new_outcome", examples),
        sides=_counts(tables, "split", "and coalesce(old_split, '') <> '' and coalesce(new_split, '') <> ''"),
        scores=tuple(_score(tables, score) for score in SCORES),
    )


def _both(old: str, new: str) -> str:
    """Columns of both sides, named apart."""
    return ", ".join(f"{old.format(name)} as old_{name}, {new.format(name)} as new_{name}" for name in _VALUES)


def _counts(tables: Tables, column: str, where: str = "") -> dict[str, int]:
    """Count rows by what a column was and is, where that differs."""
    sql = f"""select old_{column} || ' -> ' || new_{column} as kind, count(*) as n from compared
        where both_sides and old_{column} <> new_{column} {where} group by kind order by n desc, kind"""
    return {row["kind"]: row["n"] for row in tables.rows(sql)}


def _changes(tables: Tables, counts: dict[str, int], cell: str, where: str, examples: int) -> tuple[Change, ...]:
    """Give examples to counts."""
    shown: dict[str, list[Example]] = {kind: [] for kind in counts}
    if counts and examples:
        for row in tables.rows(_EXAMPLES.format(cell=cell, where=where), [examples]):
            shown[row["cell"]].append(_example(row))
    kinds = sorted(counts, key=lambda kind: (-counts[kind], kind))
    return tuple(Change(kind=kind, rows=counts[kind], examples=tuple(shown[kind])) for kind in kinds)


def _example(row: dict[str, Any]) -> Example:
    plain = {name: row[name] for name in Example.model_fields if name in row}
    scores = {f"{side}_scores": {score: row[f"{side}_{score}"] for score in SCORES} for side in ("old", "new")}
    return Example(**plain, **scores)


def _score(tables: Tables, score: str) -> ScoreChange:
    difference = f"(new_{score} - old_{score})"
    found = tables.one(
        f"""with seen as (select *, abs{difference} > {MARGIN} * greatest(abs(old_{score}), abs(new_{score})) as differs
            from compared where both_sides)
        select count(*) filter (differs) as changed,
            count(*) filter (old_{score} is null and new_{score} is not null) as gained,
            count(*) filter (old_{score} is not null and new_{score} is null) as lost,
            arg_max({difference}, abs{difference}) filter (differs) as largest,
            arg_max(new_origin, abs{difference}) filter (differs) as origin
        from seen"""
    )
    return ScoreChange(score=score, **found)
