"""Selection: scores in, one verdict per row out; a query over the rows and the settings (paper section 3.4).

The order of the rules: a leak first, since no threshold may bring it back; then the paper's stages. A row that fails one
rule is not judged by the next, keeps its scores, and carries the first rule that rejected it. Pictures of a trusted source
are not ranked; everything else applies to them.
"""

from __future__ import annotations

import math

from components.backends.tables import Tables
from components.curate.settings import CurateSettings

MINIMUM_SIDE_PX = 240
"""Side of one flatness patch; a smaller picture has none and is `too_small`."""

_RULES = f"""case
    when verdict <> 'kept' then ''
    when leak is not null then 'leak'
    when least(width_px, height_px) < {MINIMUM_SIDE_PX} then 'too_small'
    when blur < $blur_minimum then 'blurred'
    when blur > $blur_maximum then 'noisy'
    when flat_share > $flat_share_maximum then 'flat'
    else '' end"""
"""The first rule that a row fails; a score equal to its limit passes."""

PASSED = f"""select id, shard, "offset", length from scored
where verdict = 'kept' and not trusted and {_RULES} = '' order by shard, "offset" """
"""Pictures that are ranked by quality, unless they turn out to be a copy of a better one."""

_STANDING = """create or replace table standing as
with ruled as (select *, {rules} as rule from scored),
passing as (
    select id, origin, "group", trusted, quality,
        case when "group" is null then 1 else row_number() over (
            partition by "group" order by trusted desc, quality {direction} nulls last, id) end as nth,
        first_value(origin) over (partition by "group" order by trusted desc, quality {direction} nulls last, id) as stands
    from ruled
    where verdict = 'kept' and rule = '' and (trusted or quality is not null)
)
select id, trusted, nth, case when nth > 1 then stands end as stands,
    case when nth = 1 and not trusted then row_number() over (
        partition by nth > 1 or trusted order by quality {direction}, id) end as place
from passing"""

_JUDGED = """create or replace table judged as
with ruled as (select *, {rules} as rule from scored),
reasoned as (
    select ruled.*, standing.stands, case
        when ruled.verdict <> 'kept' then ruled.reason
        when rule <> '' then rule
        when standing.id is null then 'no_quality'
        when standing.nth > 1 then 'near_duplicate'
        when standing.place > $kept then 'quality_rank'
        else '' end as ruling
    from ruled left join standing on standing.id = ruled.id and ruled.verdict = 'kept'
)
select reasoned.* exclude (rule, ruling, stands, leak) replace (
    coalesce(reasoned."group", '') as "group",
    case when reasoned.verdict = 'kept' and ruling <> '' then 'rejected' else reasoned.verdict end as verdict,
    ruling as reason,
    case ruling when 'leak' then leak when 'near_duplicate' then stands else reasoned.related end as related,
    case when reasoned.verdict <> 'kept' then '' when sides.place <= $held_out then 'test' else 'train' end as split
)
from reasoned left join sides using (scene)"""

_SIDES = """create or replace table sides as
select scene, row_number() over (order by sha256(concat($seed, ':', scene)), scene) as place
from (select distinct scene from scored where verdict = 'kept')"""


def passed(tables: Tables, settings: CurateSettings) -> None:
    """Make the table `passed` of the pictures whose quality is needed, from `scored`."""
    tables.run(f"create or replace table passed as {PASSED}", limits(settings))


def limits(settings: CurateSettings) -> dict[str, float]:
    """The thresholds as parameters of the rules."""
    return settings.model_dump(include={"blur_minimum", "blur_maximum", "flat_share_maximum"})


def select(tables: Tables, settings: CurateSettings, *, higher_is_better: bool) -> int:
    """Give every row of `scored` its verdict, reason, split and what it is related to, as the table `judged`.

    No row is added or lost. Of a group of copies the one from a trusted source stays, then the best one, then the
    smallest id; equal quality is cut by id.

    Args:
        tables: with `scored`: image rows with scores, `group` (null for none) and `leak` (null, or what it leaks from).
        settings: limits, share to keep, split.
        higher_is_better: direction of `quality`.

    Returns:
        How many pictures were ranked.
    """
    direction = "desc" if higher_is_better else "asc"
    tables.run(_STANDING.format(rules=_RULES, direction=direction), limits(settings))
    ranked = int(tables.one("select count(place) as n from standing")["n"])
    tables.run(_SIDES, {"seed": str(settings.split_seed)})
    scenes = int(tables.one("select count(*) as n from sides")["n"])
    counts = {"kept": kept_of_ranked(ranked, settings.keep_share), "held_out": held_out(scenes, settings.held_out_share)}
    tables.run(_JUDGED.format(rules=_RULES), limits(settings) | counts)
    return ranked


def held_out(scenes: int, share: float) -> int:
    """How many scenes go to the test side: the share, but at least one scene to each side when there are two or more."""
    return min(max(1, round(share * scenes)), max(0, scenes - 1))


def kept_of_ranked(ranked: int, share: float) -> int:
    """How many of the ranked rows are kept: the share, rounded up."""
    return math.ceil(round(share * ranked, 9))


def funnel(tables: Tables, relation: str = "judged") -> dict[str, int]:
    """Count rows by `kept`, `rejected:<reason>` and `failed:<reason>`."""
    sql = f"""select case when verdict = 'kept' then verdict else concat(verdict, ':', reason) end as name, count(*) as n
        from {relation} group by name order by name"""
    return {row["name"]: row["n"] for row in tables.rows(sql)}
