"""The page of a batch: verdicts, distributions beside what they were compared with, and the batches before."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.backends.pages import charts
from components.backends.pages.axes import Axis, covering
from components.backends.pages.charts import Series
from components.backends.pages.style import STYLE
from components.backends.pages.wording import count, number
from components.backends.report import fill
from components.backends.storage import Storage
from components.restore.drift.findings import DriftReport, Moved
from components.restore.drift.samples import Sample
from components.restore.drift.template import OWN_STYLE, SECTIONS, TEMPLATE

BARS = 24
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
LOG = frozenset({"blur", "megapixels"})
"""Statistics that are drawn on a log scale."""
UNITS = {
    "brightness": "luma, levels of 255",
    "contrast": "deviation of luma, levels",
    "blur": "variance of the Laplacian (log)",
    "flat_share": "share of flat patches",
    "noise": "fine noise, levels",
    "colourfulness": "colourfulness",
    "megapixels": "megapixels (log)",
    "jpeg_quality": "JPEG quality",
    "piqe": "PIQE",
}
NAMED = 50
"""Ids that are listed; the report has more."""


def put_page(
    store: Storage, report: DriftReport, found: Sample, references: Mapping[str, Sample], before: Sequence[DriftReport] = ()
) -> DriftReport:
    """Write the page, `pictures/<sha256>.html`, and give the report with its key.

    Args:
        store: receives the page.
        report: what `compare` gave.
        found: the batch's sample.
        references: what it was compared with.
        before: reports of earlier batches, oldest first.
    """
    html = page(report, found, references, before).encode()
    key = store.put(f"pictures/{hashlib.sha256(html).hexdigest()}.html", html)
    return report.model_copy(update={"page": key})


def page(report: DriftReport, found: Sample, references: Mapping[str, Sample], before: Sequence[DriftReport] = ()) -> str:
    """Give the page as one HTML text; see `put_page`."""
    series = {**references, "this batch": found}
    return fill(
        TEMPLATE,
        window=f"Drift of batch {report.batch}",
        title="Are the pictures still those of before?",
        label=report.summary if report.drifted else "",
        links={},
        sections=SECTIONS,
        style=STYLE + OWN_STYLE,
        lead=_lead(report, references),
        figures=_figures(report),
        facts={"batch": report.batch, "PSI above": f"{report.psi_maximum:g}", "p below": f"{report.level:g}"},
        rows=[_row(line) for line in _worst_first(report.lines)],
        names=[(f"c{place}", name) for place, name in enumerate(series)],
        charts=[drawn for name in found.statistics if (drawn := _chart(name, series))],
        history=_history([*before, report]),
        ids=report.moved_ids[:NAMED],
        ids_left=max(0, len(report.moved_ids) - NAMED),
    )


def _lead(report: DriftReport, references: Mapping[str, Sample]) -> str:
    names = " and ".join(f"the {name} ({count(one.pictures)} pictures)" for name, one in references.items())
    against = f" against {names}" if names else "; there is nothing to compare with yet"
    return f"Inputs and outputs of a batch of {count(report.pictures)} pictures{against}."


def _figures(report: DriftReport) -> list[tuple[str, str]]:
    verdicts = Counter(line.verdict for line in report.lines)
    return [
        ("drifted", count(verdicts["drifted"])),
        ("steady", count(verdicts["steady"])),
        ("not judged", count(verdicts["unknown"])),
    ]


def _worst_first(lines: Sequence[Moved]) -> list[Moved]:
    order = {"drifted": 0, "steady": 1, "unknown": 2}
    return sorted(lines, key=lambda line: (order[line.verdict], -(line.psi or 0), line.statistic, line.against))


def _row(line: Moved) -> dict[str, Any]:
    values = [number(line.median_reference), number(line.median)]
    tests = ["–" if value is None else f"{value:.3f}" for value in (line.psi, line.ks)]
    p = "–" if line.p_holm is None else f"{line.p_holm:.2g}"
    why = line.sentence if line.verdict == "unknown" else ""
    cells = [line.against, f"{count(line.n_reference)} / {count(line.n)}", *values, *tests, p]
    return {"name": line.statistic, "cells": cells, "verdict": line.verdict.replace("unknown", "not judged"), "why": why}


@dataclass(frozen=True)
class _Drawn:
    name: str
    svg: str


def _chart(statistic: str, series: Mapping[str, Sample]) -> _Drawn | None:
    """Outlines of one statistic; None where nobody has a value."""
    plain = statistic.rpartition(".")[2]
    values = {name: np.array(list(one.values(statistic).values())) for name, one in series.items()}
    present = [each for each in values.values() if len(each)]
    if not present:
        return None
    axis = _axis(np.concatenate(present), log=plain in LOG)
    drawn = [
        Series(f"c{place}", _shares(each, axis), np.quantile(each, QUANTILES).tolist())
        for place, each in enumerate(values.values())
        if len(each)
    ]
    title = f"{statistic}: distribution in {len(drawn)} sets; the medians are in the table"
    return _Drawn(statistic, charts.outlines(title, drawn, axis, label=UNITS.get(plain, plain)))


def _axis(values: npt.NDArray[np.float64], *, log: bool) -> Axis:
    low, high = float(values.min()), float(values.max())
    if log and high > 0:
        least = float(values[values > 0].min())
        return Axis(10 ** np.floor(np.log10(least)), 10 ** np.ceil(np.log10(max(high, 1.01 * least)) + 1e-9), log=True)
    return covering(low, high)


def _shares(values: npt.NDArray[np.float64], axis: Axis) -> list[float]:
    places = [min(BARS - 1, int(BARS * axis.at(value))) for value in values.tolist()]
    shares: list[float] = (np.bincount(places, minlength=BARS) / len(values)).tolist()
    return shares


def _history(reports: Sequence[DriftReport]) -> dict[str, Any]:
    """PSI of each line over the batches."""
    names = list(dict.fromkeys((line.statistic, line.against) for report in reports for line in report.lines))
    by_batch = [{(line.statistic, line.against): line for line in report.lines} for report in reports]
    rows = [{"name": f"{name[0]}, {name[1]}", "cells": [_cell(lines.get(name)) for lines in by_batch]} for name in names]
    return {"batches": [report.batch for report in reports], "rows": rows}


def _cell(line: Moved | None) -> tuple[str, bool]:
    return ("–", False) if line is None or line.psi is None else (f"{line.psi:.3f}", line.verdict == "drifted")
