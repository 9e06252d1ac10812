"""Means of scores with their intervals."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from components.imaging import iqa
from components.records import MetricSummary


def summarise(
    rows: Sequence[Mapping[str, Any]], benchmarks: Sequence[str], methods: Sequence[str], metrics: Sequence[str]
) -> tuple[MetricSummary, ...]:
    """Mean of every metric for every method and benchmark, in the given orders.

    A score that is not a number (a metric that has none for a flat picture) is left out and lowers `n`.

    Args:
        rows: with `benchmark`, `method`, `metric`, `value`.
        benchmarks: names.
        methods: names.
        metrics: names in METRICS.
    """
    cells: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in rows:
        if math.isfinite(row["value"]):
            cells[row["benchmark"], row["method"], row["metric"]].append(row["value"])
    return tuple(
        MetricSummary(
            benchmark=benchmark,
            method=method,
            metric=metric,
            mean=math.fsum(values) / len(values),
            n=len(values),
            higher_is_better=iqa.info(metric).higher_is_better,
            interval=iqa.bootstrap(values),
        )
        for benchmark in benchmarks
        for method in methods
        for metric in metrics
        if (values := cells[benchmark, method, metric])
    )
