"""Find one picture among the rows of a manifest, and what its row alone does not say: its place, its group, its uses.

Every function looks at the view `rows` of a session, which the caller lets stand for a manifest.
"""

from __future__ import annotations

from typing import Any

from components.backends import catalog
from components.backends.storage import Storage
from components.backends.tables import Tables
from components.records import EvalReport, ModelVersion, PairSet, Record, TrainRun

Row = dict[str, Any]

MOST_ROWS = 8
"""Rows of one name that are looked at, for example of a picture that is there several times."""
FEWEST = 6
"""Characters of an id that name a picture."""

_MATCHES = f"""select * from (
    select *, case
        when id = $asked then 'its id'
        when origin = $asked then 'its origin'
        when url = $asked then 'its address'
        when length($asked) >= {FEWEST} and starts_with(id, lower($asked)) then 'the beginning of its id'
        when ends_with(origin, '/' || $asked) then 'the end of its origin' end as how,
        list_position(['its id', 'its origin', 'its address', 'the beginning of its id', 'the end of its origin'], how) as nth
    from rows where $asked <> '') where how is not null
qualify nth = min(nth) over () order by verdict <> 'kept', origin limit {MOST_ROWS}"""
_ALIKE = """select origin, greatest(
    jaro_winkler_similarity(lower(origin), lower($asked)),
    jaro_winkler_similarity(lower(split_part(origin, '/', -1)), lower($last))) as likeness
from rows where likeness >= 0.85 or contains(lower(origin), lower($asked))
order by likeness desc, origin limit $most"""
_NEAREST = """select origin, bit_count(xor(('0x' || phash)::ubigint, ('0x' || $print)::ubigint)) as bits
from rows where phash <> '' and bits <= $most_bits order by bits, origin limit $most"""
_PLACE = """with ranked as (
    select id, quality, verdict from rows
    where quality is not null and not coalesce(trusted, false) and (verdict = 'kept' or reason = 'quality_rank'))
select count(*) filter (quality {better} $quality or (quality = $quality and id <= $id)) as place,
    count(*) as ranked, count(*) filter (verdict = 'kept') as kept, {last}(quality) filter (verdict = 'kept') as cut
from ranked"""
_DIRECTION = """select coalesce(min(quality) filter (verdict = 'kept') >= max(quality) filter (reason = 'quality_rank'), true)
    as higher from rows where not coalesce(trusted, false)"""


class Place(Record):
    """Where a picture stands among those that were ranked by quality."""

    place: int
    """1 is the best."""
    ranked: int
    kept: int
    cut: float | None
    """Quality of the last one that is kept."""


class Uses(Record):
    """What was made from a picture with one curation's verdict."""

    pairs: int = 0
    runs: tuple[str, ...] = ()
    """Runs that were trained on its pairs."""
    models: tuple[str, ...] = ()
    """`name/version` of what was registered from those runs."""
    evaluations: tuple[str, ...] = ()
    """Checkpoints that were judged on it, as a held-out picture."""


def matches(tables: Tables, asked: str) -> list[Row]:
    """Give the rows that a name means: an id or its beginning, an origin or its end, an address; the closest kind alone.

    Returns:
        Rows with `how` they were found; kept ones first, MOST_ROWS at most.
    """
    return tables.rows(_MATCHES, {"asked": asked})


def alike(tables: Tables, asked: str, *, most: int = 3) -> list[str]:
    """Give origins that are spelled nearly like a name."""
    given = {"asked": asked, "last": asked.rpartition("/")[2], "most": most}
    return [row["origin"] for row in tables.rows(_ALIKE, given)]


def nearest(tables: Tables, print_: str, *, most: int = 3, most_bits: int = 10) -> list[tuple[str, int]]:
    """Give (origin, differing bits of 64) of pictures that look like one, by perceptual hash."""
    rows = tables.rows(_NEAREST, {"print": print_, "most": most, "most_bits": most_bits})
    return [(row["origin"], row["bits"]) for row in rows]


def higher_is_better(tables: Tables) -> bool:
    """Tell the direction of `quality` from which rows were kept."""
    return bool(tables.one(_DIRECTION)["higher"])


def place(tables: Tables, row: Row, *, higher: bool) -> Place | None:
    """Count who stands before a row in the quality rank; None for one that was not ranked."""
    judged = row["verdict"] == "kept" or row["reason"] == "quality_rank"
    if row["trusted"] or row["quality"] is None or not judged:
        return None
    sql = _PLACE.format(better=">" if higher else "<", last="min" if higher else "max")
    return Place(**tables.one(sql, {"quality": row["quality"], "id": row["id"]}))


def members(tables: Tables, row: Row, *, most: int = MOST_ROWS) -> tuple[int, list[str]]:
    """Count the other pictures that share content with a row, and name some, the one that stands for them first."""
    if not row["group"]:
        return 0, []
    found = tables.rows(
        """select origin, count(*) over () as others from rows where "group" = $group and origin <> $origin
        order by verdict <> 'kept', origin limit $most""",
        {"group": row["group"], "origin": row["origin"], "most": most},
    )
    return (found[0]["others"] if found else 0), [other["origin"] for other in found]


def uses(store: Storage, curated: str, image_id: str) -> Uses:
    """Follow a picture through the records of a home.

    Args:
        store: whose records are searched.
        curated: sha256 of the curated manifest.
        image_id: sha256 of the picture's bytes.
    """
    sets = [pairs for pairs, _ in catalog.every(store, PairSet) if pairs.curation.manifest.sha256 == curated]
    drawn = {pairs.manifest.sha256: count for pairs in sets if (count := _pairs(store, pairs, image_id))}
    runs = [run.run_id for run, _ in catalog.every(store, TrainRun) if run.pairs.manifest.sha256 in drawn]
    models = [model for model, _ in catalog.every(store, ModelVersion) if model.run_id in runs]
    reports = [report for report, _ in catalog.every(store, EvalReport) if report.scores.parent == curated]
    return Uses(
        pairs=sum(drawn.values()),
        runs=tuple(runs),
        models=tuple(f"{model.name}/{model.version}" for model in models),
        evaluations=tuple(report.checkpoint_sha256 for report in reports if _judged(store, report, image_id)),
    )


def _pairs(store: Storage, pairs: PairSet, image_id: str) -> int:
    with Tables(store) as tables:
        tables.manifest("pairs", pairs.manifest)
        return int(tables.one("select count(*) as n from pairs where hq_id = $id", {"id": image_id})["n"])


def _judged(store: Storage, report: EvalReport, image_id: str) -> bool:
    with Tables(store) as tables:
        tables.manifest("scores", report.scores)
        return bool(tables.one("select count(*) > 0 as there from scores where image_id = $id", {"id": image_id})["there"])
