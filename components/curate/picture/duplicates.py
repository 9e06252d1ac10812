"""What was found twice: groups side by side, equal bytes, and what shares content with a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.backends.pages.wording import tail
from components.backends.tables import Tables
from components.curate.picture.facts import COLUMNS, VIEW
from components.curate.picture.sheets import Reader, Thumb, chosen, first_by_id
from components.curate.picture.wording import REASONS

GROUPS_SHOWN = 8
MEMBERS_SHOWN = 6
EQUAL_SHOWN = 12
LARGEST_SHOWN = 4


@dataclass(frozen=True)
class Group:
    """Pictures that show the same, the one that stands for them first."""

    total: int
    thumbs: Sequence[Thumb]


@dataclass(frozen=True)
class Found:
    """Everything that this section says."""

    groups: int
    """How many groups there are."""
    sizes: Sequence[tuple[str, int]]
    """(size, groups of that size)."""
    shown: Sequence[Group]
    equal: Sequence[Thumb]
    """Rows whose bytes an earlier row has."""
    benchmarks: Sequence[tuple[str, int]]
    """(benchmark, leaked pictures)."""


def duplicates(tables: Tables, reader: Reader) -> Found:
    """Gather the duplicates and leaks of a manifest."""
    tables.run(
        'create or replace temp table _groups as select "group", count(*) + 1 as size, min(related) as stands '
        f"from {VIEW} where reason = 'near_duplicate' and \"group\" is not null group by 1"
    )
    sizes = tables.rows("select least(size, 6) as size, count(*) as n from _groups group by 1 order by 1")
    leaks = tables.rows(
        "select split_part(related, '/', 1) as benchmark, count(*) as n "
        f"from {VIEW} where reason = 'leak' group by 1 order by n desc, 1"
    )
    tables.run(f"create or replace view _equal as select * from {VIEW} where reason = 'duplicate_bytes'")
    equal = chosen(tables, first_by_id("_equal", EQUAL_SHOWN), "_equal").get("", [])
    return Found(
        groups=sum(row["n"] for row in sizes),
        sizes=[(f"{row['size']} or more" if row["size"] == 6 else str(row["size"]), row["n"]) for row in sizes],
        shown=_groups(tables, reader),
        equal=reader.thumbs(equal, caption=lambda row: f"= {tail(row['related'] or '?')}"),
        benchmarks=[(row["benchmark"] or "unknown", row["n"]) for row in leaks],
    )


def _groups(tables: Tables, reader: Reader) -> list[Group]:
    """Read the members of the largest groups and of some others, chosen by the name of the group."""
    members = tables.rows(
        'with ordered as (select *, row_number() over (order by size desc, "group") as place from _groups), '
        f"largest as (select * from ordered where place <= {LARGEST_SHOWN}), "
        f'others as (select * from ordered where place > {LARGEST_SHOWN} order by "group" limit {GROUPS_SHOWN - LARGEST_SHOWN}), '
        "chosen as (select * from largest union all select * from others), "
        f'found as (select i.*, place, origin = stands as first from {VIEW} i join chosen using ("group") '
        "where verdict <> 'failed' and reason <> 'duplicate_bytes' and shard is not null) "
        f"select {COLUMNS}, place, first, count(*) over (partition by place) as total from found "
        f"qualify row_number() over (partition by place order by first desc, id) <= {MEMBERS_SHOWN} "
        "order by place, first desc, id"
    )
    groups: dict[int, list[dict[str, Any]]] = {}
    for row in members:
        groups.setdefault(row["place"], []).append(row)
    return [Group(rows[0]["total"], [_member(reader, row) for row in rows]) for rows in groups.values()]


def _member(reader: Reader, row: dict[str, Any]) -> Thumb:
    size = f"{row['width_px']}\u00a0×\u00a0{row['height_px']}"
    if row["first"]:
        fate = "kept" if row["verdict"] == "kept" else REASONS.get(row["reason"], row["reason"])
        return reader.thumb(row, mark="stays", caption=f"Stays ({fate}) · {size}")
    fate = (
        "Put aside" if row["reason"] == "near_duplicate" else (REASONS.get(row["reason"], row["reason"]) or "kept").capitalize()
    )
    return reader.thumb(row, mark="aside", caption=f"{fate} · {size}")
