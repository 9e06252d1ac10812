"""The dataset beside others: quality, blur, flatness and resolution (paper, figure 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.backends.pages import charts
from components.backends.pages.axes import Axis
from components.backends.pages.wording import count, number
from components.backends.tables import Tables
from components.curate.picture import facts

BINS = 40
COLOURS = 6
"""Classes `c0` to `c5` of the page."""
QUANTILES = "[0.05, 0.25, 0.5, 0.75, 0.95]"


@dataclass(frozen=True)
class Measure:
    """One attribute that datasets are compared by."""

    name: str
    label: str
    column: str
    """SQL over an image row."""
    axis: Axis


@dataclass(frozen=True)
class Comparison:
    """Charts, and the medians as a table."""

    names: Sequence[tuple[str, str]]
    """(css class, name) of each dataset."""
    charts: Sequence[tuple[str, str]]
    """(name of the measure, SVG)."""
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def compare(tables: Tables, compared: Sequence[tuple[str, str]], metric: str) -> Comparison:
    """Count each measure in each view.

    Args:
        tables: with the views.
        compared: (name, view) of each dataset.
        metric: name of the metric behind `quality`.
    """
    measures = [
        Measure("Blur score", "blur score (log)", "blur", facts.BLUR),
        Measure("Flatness", "share of flat patches", "flat_share", facts.FLAT),
        Measure("Resolution", "megapixels (log)", "(width_px::double * height_px / 1e6)", facts.MEGAPIXELS),
    ]
    quality = facts.quality_axis(tables, [view for _, view in compared])
    if quality is not None:
        measures.insert(0, Measure(f"Quality ({metric})", metric, "quality", quality))
    drawn, cells = [], [[name, count(tables.one(f"select count(*) as n from {view}")["n"])] for name, view in compared]
    for measure in measures:
        series = []
        for index, (_, view) in enumerate(compared):
            one = _series(tables, view, measure, _css(index))
            cells[index].append(number(one.quantiles[2]) if one else "–")
            series += [one] if one else []
        if series:
            title = f"{measure.name}: distribution in {len(series)} datasets; the medians are in the table"
            drawn.append((measure.name, charts.outlines(title, series, measure.axis, label=measure.label)))
    header = ["dataset", "pictures", *(f"{measure.name}, median" for measure in measures)]
    return Comparison([(_css(index), name) for index, (name, _) in enumerate(compared)], drawn, header, cells)


def _css(index: int) -> str:
    return f"c{index % COLOURS}"


def _series(tables: Tables, view: str, measure: Measure, css: str) -> charts.Series | None:
    column = measure.column
    found: dict[str, Any] = tables.one(
        f"select count(*) as n, quantile_disc({column}, {QUANTILES}) as quantiles from {view} where isfinite({column})"
    )
    if not found["n"]:
        return None
    counted = tables.rows(
        f"select {measure.axis.bin_of(column, BINS)} as bin, count(*) as n from {view} where isfinite({column}) group by 1"
    )
    shares = [0.0] * BINS
    for row in counted:
        shares[row["bin"]] = row["n"] / found["n"]
    return charts.Series(css, shares, found["quantiles"])
