"""The report page of a benchmark: ours beside what others published, run time and size, steps, pictures."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.backends.report import Page, Slider, Table, render
from components.evaluate.benchmarks import published
from components.evaluate.benchmarks.layout import Benchmark
from components.evaluate.page import against_table
from components.imaging import iqa
from components.records import BenchmarkReport, MetricSummary

BILLION = 1e9
WORDS = frozenset({1})
"""The second column says where a row comes from, or why."""


def report_page(
    report: BenchmarkReport, benchmark: Benchmark, rows: Sequence[Mapping[str, Any]], sliders: Sequence[Slider]
) -> str:
    """Give the page as one HTML text.

    Args:
        report: means, comparison, what was left out.
        benchmark: what was measured on.
        rows: scores of single pictures, for the tables by degradation.
        sliders: pictures to compare by hand.
    """
    tables = [
        _scores(report),
        *_by_group(report, benchmark, rows),
        *([against_table(report.paired, report.against)] if report.paired else []),
        *_steps(report),
        *_runtime(report),
        *_left_out(report),
    ]
    return render(
        Page(
            title=f"{report.label} on {benchmark.title}",
            lead=_lead(benchmark),
            facts=_facts(report, benchmark),
            tables=tables,
            sliders=sliders,
        )
    )


def _lead(benchmark: Benchmark) -> str:
    pictures = "Pictures of a benchmark of your own." if benchmark.info is None else f"Pictures: {benchmark.info.source}."
    return f"{pictures} The ones below are the first by name and, in a comparison, those where this one falls furthest behind."


def _facts(report: BenchmarkReport, benchmark: Benchmark) -> dict[str, str]:
    facts = {
        "Benchmark": f"{report.benchmark}, {report.pictures} pictures ({report.digest})",
        "Measured": f"{report.label} ({report.identity})",
        "Scores": report.scores.sha256,
        "Scored with": ", ".join(f"{name} {version}" for name, version in report.versions.items()),
    }
    if benchmark.info:
        facts["Licence of the pictures"] = benchmark.info.licence
    if report.unscored:
        facts["No number"] = f"{report.unscored} scores are left out: the metric says nothing about a picture of that kind"
    return facts


def _metrics(summaries: Sequence[MetricSummary]) -> list[str]:
    return list(dict.fromkeys(cell.metric for cell in summaries))


def _header(metrics: Sequence[str]) -> list[str]:
    return [f"{metric} {'↑' if iqa.info(metric).higher_is_better else '↓'}" for metric in metrics]


def _scores(report: BenchmarkReport) -> Table:
    """Ours on top, what others published below, marked as such."""
    others = published.rows(report.benchmark)
    metrics = _metrics(report.summaries)
    metrics += [name for name in dict.fromkeys(name for row in others for name in row.values) if name not in metrics]
    cells = {(cell.method, cell.metric): cell for cell in report.summaries}
    rows = [
        [_named(method), "measured here", *(_cell(cells.get((method, metric))) for metric in metrics)]
        for method in dict.fromkeys(cell.method for cell in report.summaries)
    ]
    rows += [
        [
            row.method,
            f"{published.MARK}: {row.source}",
            *(f"{row.values[name]:.4g}" if name in row.values else "-" for name in metrics),
        ]
        for row in others
    ]
    counts = sorted({cell.n for cell in report.summaries})
    n = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}" if counts else "nothing was measured"
    note = f"{n}. In brackets: 95 %, bootstrap over pictures."
    if others:
        note += " Published figures come from other programs, versions and machines; a difference to them proves nothing."
    return Table("Scores", ["method", "", *_header(metrics)], rows, note=note, text=WORDS)


def _named(method: str) -> str:
    return {"lq": "LQ (input)", "lrp": "LRP (light restorer)"}.get(method, method)


def _cell(cell: MetricSummary | None) -> str:
    if cell is None:
        return "-"
    return f"{cell.mean:.4g}" + (f" [{cell.interval[0]:.4g}, {cell.interval[1]:.4g}]" if cell.interval else "")


def _by_group(report: BenchmarkReport, benchmark: Benchmark, rows: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    """One table more where a benchmark has several degradations."""
    if len(report.groups) < 2:
        return
    groups = {pair.name: pair.group for pair in benchmark.pairs}
    sums: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in rows:
        if math.isfinite(row["value"]):
            sums[groups[row["image_id"]], row["method"], row["metric"]].append(row["value"])
    metrics = _metrics(report.summaries)
    listed = []
    for group, count in report.groups.items():
        for method in dict.fromkeys(cell.method for cell in report.summaries):
            means = [sums[group, method, metric] for metric in metrics]
            listed.append([group, _named(method), *(f"{sum(one) / len(one):.4g}" if one else "-" for one in means), str(count)])
    yield Table("By degradation", ["degradation", "method", *_header(metrics), "pictures"], listed)


def _steps(report: BenchmarkReport) -> Iterator[Table]:
    """Quality against number of steps (paper section A.8)."""
    methods = [method for method in report.seconds if method != "restored"]
    if not methods:
        return
    metrics = _metrics(report.summaries)
    cells = {(cell.method, cell.metric): cell for cell in report.summaries}
    rows = [
        [method, *(_cell(cells.get((method, metric))) for metric in metrics), f"{report.seconds[method]:.3g}"]
        for method in ("restored", *methods)
        if method in report.seconds
    ]
    note = "The paper asks for more than about 15 steps (section A.8); fewer smooth fine texture away."
    yield Table("Quality against number of steps", ["", *_header(metrics), "seconds"], rows, note=note)


def _runtime(report: BenchmarkReport) -> Iterator[Table]:
    """Run time and size as the paper's table 3 has them."""
    if not report.parameters:
        return
    adapter = report.parameters.get("adapter", 0)
    frozen = sum(report.parameters.values()) - adapter
    ours = [
        report.label,
        "measured here",
        "0",
        f"{report.seconds.get('restored', 0.0):.3g}",
        f"{frozen / BILLION:.4g}",
        f"{adapter / BILLION:.4g}",
    ]
    rows = [ours]
    for name, (caption, seconds, backbone, trained) in published.RUNTIMES.items():
        numbers = (f"{number:.4g}" for number in (caption, seconds, backbone, trained))
        rows.append([name, f"{published.MARK}: LucidFlux, table 3", *numbers])
    header = ["method", "", "caption (s)", "restoring (s)", "frozen (10⁹ parameters)", "adapter (10⁹)"]
    note = "Median of one picture, on the machine that evaluated; the published seconds are of another one. Nothing is captioned."
    yield Table("Run time and size", header, rows, note=note, text=WORDS)


def _left_out(report: BenchmarkReport) -> Iterator[Table]:
    if report.skipped:
        yield Table(
            "Metrics that were not measured", ["metric", "why"], [list(pair) for pair in report.skipped.items()], text=WORDS
        )
    if report.missing:
        yield Table(
            "Pictures with nothing to score", ["picture", "why"], [list(pair) for pair in report.missing.items()], text=WORDS
        )
