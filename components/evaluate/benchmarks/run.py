"""Measure a contender on a benchmark: pictures, scores, comparison, page."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.backends import manifest
from components.backends.report import Slider
from components.backends.storage import LocalStorage, Storage
from components.evaluate.benchmarks.contender import LQ, Contender, Made, Model, make_all
from components.evaluate.benchmarks.layout import Benchmark
from components.evaluate.benchmarks.page import report_page
from components.evaluate.settings import BenchmarkSettings
from components.evaluate.summary import summarise
from components.imaging import codec, iqa
from components.imaging.iqa.many import Item, score_files
from components.imaging.iqa.paired import compare
from components.records import BenchmarkReport, Paired, Progress, content_hash, quiet

OPERATOR = "benchmark-1"
Row = dict[str, Any]


def evaluate_benchmark(  # noqa: PLR0913 (a stage with its places)
    benchmark: Benchmark,
    contender: Contender,
    settings: BenchmarkSettings,
    *,
    store: Storage,
    home: Path,
    weights: Path,
    workers: int = 1,
    against: BenchmarkReport | None = None,
    progress: Progress = quiet,
) -> BenchmarkReport:
    """Restore or take every picture of a benchmark and score it, LQ beside it.

    Args:
        benchmark: what is restored.
        contender: who restores.
        settings: metrics, size, seed.
        store: receives scores, pictures and page.
        home: finished pictures are found below `work`, known scores below `cache`.
        weights: folder of the metrics' weights.
        workers: processes that score.
        against: report of another on the same pictures.
        progress: called after each picture.

    Raises:
        UnknownName: there is no such metric.
    """
    digest, methods = digest_of(benchmark, settings), (LQ, *contender.methods)
    work = LocalStorage(home / "work" / f"benchmark-{content_hash(OPERATOR, digest)[:16]}")
    asked, skipped = _measurable(settings.metrics, weights, contender)
    made = make_all(benchmark, contender, settings.side_px or benchmark.side_px, work=work, progress=progress)
    if not any(one.truth for one in made.values()):
        smaller = "HQ is smaller than the pictures as they are evaluated"
        reason = smaller if benchmark.pairs[0].hq else "there is no HQ to compare with"
        skipped |= {metric: reason for metric in asked if iqa.info(metric).needs_reference}
        asked = [metric for metric in asked if metric not in skipped]
    by_encoder = [metric for metric in asked if iqa.info(metric).own_encoder]
    found = score_files(
        _items(made, methods),
        [metric for metric in asked if metric not in by_encoder],
        weights=weights,
        cache=home / "cache" / "scores.db",
        workers=workers,
        progress=progress,
    )
    rows = [_row(benchmark.name, one) for one in [*found, *_seen(contender, made, methods, by_encoder)]]
    prefix = _keep(store, f"benchmarks/{content_hash(OPERATOR, digest, contender.identity)[:16]}", made)
    theirs = manifest.rows(store, against.scores) if against else []
    report = BenchmarkReport(
        benchmark=benchmark.name,
        digest=digest,
        label=contender.label,
        identity=contender.identity,
        method=contender.method,
        pictures=len(benchmark.pairs),
        scores=manifest.write(store, "scores", rows, settings=content_hash(OPERATOR, benchmark.digest, settings)),
        summaries=summarise(rows, [benchmark.name], methods, asked),
        skipped=skipped,
        missing={name: one.missing for name, one in made.items() if one.missing},
        unscored=sum(not math.isfinite(row["value"]) for row in rows),
        groups=dict(Counter(pair.group for pair in benchmark.pairs if pair.group)),
        seconds=_seconds(made),
        parameters=contender.parameters,
        versions=iqa.versions(),
        examples=prefix,
        html=f"{prefix}/report.html",
        against=against.label if against else "",
        paired=_compared(rows, contender.method, theirs, against.method) if against else (),
    )
    sliders = [*_first(made, contender, settings), *_worst(report, made, store, against)]
    store.put(report.html, report_page(report, benchmark, rows, sliders).encode())
    return report


def digest_of(benchmark: Benchmark, settings: BenchmarkSettings) -> str:
    """Hash of the pictures as they are evaluated: only reports of one digest can be compared."""
    return content_hash(benchmark.digest, settings.side_px or benchmark.side_px)


def _items(made: Mapping[str, Made], methods: Sequence[str]) -> list[Item]:
    """Every picture of every method, with its truth."""
    return [
        Item(f"{method}/{name}", one.files[method], one.truth)
        for name, one in made.items()
        for method in methods
        if method in one.files
    ]


def _keep(store: Storage, prefix: str, made: Mapping[str, Made]) -> str:
    """Put the pictures where a later comparison finds them."""
    for name, one in made.items():
        for method, path in one.files.items():
            store.put_file(f"{prefix}/{method}/{name}.png", path)
    return prefix


def _measurable(metrics: Sequence[str], weights: Path, contender: Contender) -> tuple[list[str], dict[str, str]]:
    """Metrics that can run here, and why the others cannot."""
    able, skipped = iqa.usable(metrics, weights)
    for metric in able:
        if iqa.info(metric).redegraded:
            skipped[metric] = "the recipe that made LQ is not part of a benchmark in a folder"
        elif iqa.info(metric).own_encoder and not isinstance(contender, Model):
            skipped[metric] = "it is seen by a model's image encoder, and no model made these pictures"
    return [metric for metric in able if metric not in skipped], skipped


def _seen(contender: Contender, made: Mapping[str, Made], methods: Sequence[str], metrics: Sequence[str]) -> list[Row]:
    """Rows of the metrics that the model's own image encoder gives."""
    if not metrics or not isinstance(contender, Model):
        return []
    rows = []
    for name, one in made.items():
        if one.truth is None:
            continue
        truth_u8 = codec.decode(one.truth.read_bytes(), limits=codec.STORED).image_u8
        for method in methods:
            picture_u8 = codec.decode(one.files[method].read_bytes(), limits=codec.STORED).image_u8
            value = contender.restorer.similarity(picture_u8, truth_u8)
            rows += [{"image_id": f"{method}/{name}", "metric": metric, "value": value} for metric in metrics]
    return rows


def _row(benchmark: str, scored: Mapping[str, Any]) -> Row:
    method, _, name = scored["image_id"].partition("/")
    value = scored["value"]
    return {"image_id": name, "benchmark": benchmark, "method": method, "metric": scored["metric"], "value": value}


def _compared(rows: Sequence[Row], ours: str, others: Sequence[Row], theirs: str) -> tuple[Paired, ...]:
    """The row of one contender against that of another, whatever they are called."""
    named = [{**row, "method": ours} for row in others if row["method"] == theirs]
    return compare(rows, named, method=ours)


def _seconds(made: Mapping[str, Made]) -> dict[str, float]:
    by_method: dict[str, list[float]] = defaultdict(list)
    for one in made.values():
        for method, seconds in one.seconds.items():
            by_method[method].append(seconds)
    return {method: statistics.median(values) for method, values in by_method.items()}


def _first(made: Mapping[str, Made], contender: Contender, settings: BenchmarkSettings) -> list[Slider]:
    shown = [(name, one.files) for name, one in made.items() if contender.method in one.files][: settings.sliders]
    return [
        Slider(f"{name}: left is LQ, right is {contender.label}", files[LQ].read_bytes(), files[contender.method].read_bytes())
        for name, files in shown
    ]


def _worst(report: BenchmarkReport, made: Mapping[str, Made], store: Storage, against: BenchmarkReport | None) -> list[Slider]:
    """For each metric the picture where it falls furthest behind the other."""
    sliders: dict[str, Slider] = {}
    for one in report.paired if against else ():
        for worst in one.worst[:1]:
            name, ours = worst.image_id, made[worst.image_id].files.get(report.method)
            theirs = f"{against.examples}/{against.method}/{name}.png" if against else ""
            if ours and name not in sliders and store.exists(theirs):
                title = f"{name}, {one.metric} {worst.difference:+.3g}: left is {report.against}, right is {report.label}"
                sliders[name] = Slider(title, store.read(theirs), ours.read_bytes())
    return list(sliders.values())
