"""Views of the manifests, and what is counted over them: histograms and sizes of pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from components.backends.pages.axes import Axis, covering
from components.backends.tables import Tables
from components.curate.picture.subject import Subject

VIEW = "images"
"""Rows of the curated manifest."""
COLUMNS = (
    'id, origin, shard, "offset", "length", width_px, height_px, blur, flat_share, quality, '
    "coalesce(trusted, false) as trusted, \"group\", verdict, coalesce(reason, '') as reason, related"
)
"""What the page says about one picture."""

BLUR = Axis(1, 100_000, log=True)
FLAT = Axis(0, 1, percent=True)
SIDES = Axis(32, 16_384, log=True)
MEGAPIXELS = Axis(0.01, 100, log=True)
"""Axes that are the same on every page, so that pages of two versions can be laid side by side."""
DENSITY_BINS = 54
MOST_DOTS = 600
"""Up to so many different sizes are dots; more are a density."""


def open_views(tables: Tables, subject: Subject) -> list[tuple[str, str]]:
    """Make views of the manifests and give (name, view) of those that are compared.

    Raises:
        ManifestError: a manifest is missing or was changed.
    """
    tables.manifest("_curated", subject.curated)
    tables.run(f"create view {VIEW} as select {COLUMNS} from _curated")
    compared = [("everything decoded", "decoded"), ("kept", "kept")]
    tables.run(f"create view decoded as select * from {VIEW} where verdict <> 'failed' and reason <> 'duplicate_bytes'")
    tables.run(f"create view kept as select * from {VIEW} where verdict = 'kept'")
    for index, (name, manifest) in enumerate(subject.comparisons):
        tables.manifest(f"_other_{index}", manifest)
        tables.run(f"create view other_{index} as select {COLUMNS} from _other_{index} where verdict = 'kept'")
        compared.append((name, f"other_{index}"))
    return compared


def quality_axis(tables: Tables, views: Sequence[str]) -> Axis | None:
    """Cover the quality scores of all views; None when there is no score."""
    parts = " union all ".join(
        f"select min(quality) as low, max(quality) as high from {view} where isfinite(quality)" for view in views
    )
    found = tables.one(f"select min(low) as low, max(high) as high from ({parts})")
    return None if found["low"] is None else covering(found["low"], found["high"])


def quality_cut(tables: Tables, *, higher_is_better: bool) -> float | None:
    """Give the quality of the last ranked picture that is kept; None when none is."""
    worst = "min" if higher_is_better else "max"
    cut: float | None = tables.one(f"select {worst}(quality) as cut from kept where not trusted")["cut"]
    return cut


def histogram(tables: Tables, column: str, axis: Axis, bins: int, here: Sequence[str]) -> list[list[int]]:
    """Count a score per bin: kept, rejected by one of the reasons `here`, and rejected by another rule.

    Args:
        tables: with the view of the images.
        column: a score column.
        axis: its axis.
        bins: how many.
        here: reasons that this score decides.

    Returns:
        Three lists of `bins` counts.
    """
    reasons = ", ".join(f"'{name}'" for name in here)
    found = tables.rows(
        f"select {axis.bin_of(column, bins)} as bin, "
        f"case when verdict = 'kept' then 0 when reason in ({reasons}) then 1 else 2 end as class, count(*) as n "
        f"from decoded where isfinite({column}) group by all"
    )
    counts = [[0] * bins for _ in range(3)]
    for row in found:
        counts[row["class"]][row["bin"]] = row["n"]
    return counts


def bins_for(rows: int) -> int:
    """Choose how many bars: few for few pictures, an even number up to 50."""
    return max(10, min(50, 2 * round(math.sqrt(rows) / 2) + 10))


def sizes(tables: Tables) -> tuple[bool, list[dict[str, Any]]]:
    """Give width and height of the decoded pictures as dots, or as cells of a grid on log axes when there are many.

    Returns:
        Whether they are cells, and rows with `x`, `y` (px, or cell), `n` pictures, `kept` of them.
    """
    distinct = tables.one(f"select count(*) as n from (select distinct width_px, height_px from decoded limit {MOST_DOTS + 1})")
    dense = bool(distinct["n"] > MOST_DOTS)
    x, y = (SIDES.bin_of(side, DENSITY_BINS) if dense else side for side in ("width_px", "height_px"))
    return dense, tables.rows(
        f"select {x} as x, {y} as y, count(*) as n, count(*) filter (verdict = 'kept') as kept "
        "from decoded where width_px is not null group by 1, 2 order by 1, 2"
    )


def pixels(tables: Tables, view: str) -> dict[str, Any]:
    """Give quantiles of the shorter side and of the megapixels."""
    return tables.one(
        "select count(*) as n, quantile_disc(least(width_px, height_px), [0.05, 0.5, 0.95]) as side, "
        f"quantile_disc(width_px::double * height_px / 1e6, [0.05, 0.5, 0.95]) as megapixels from {view}"
    )
