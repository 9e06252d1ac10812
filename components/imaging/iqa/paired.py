"""Two models on the same pictures: differences picture by picture, with intervals and tests.

A positive difference is better, whatever the direction of the metric. The interval is a bootstrap over pictures (Efron and
Tibshirani 1993), the test Wilcoxon's signed ranks, corrected over all metrics of a comparison by Holm.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from components.imaging.iqa.interval import bootstrap
from components.imaging.iqa.metrics import info
from components.records import Paired, Worst

WORST = 5
"""Regressions that are named."""
LEAST = 5
"""Pictures below which nothing is tested: Wilcoxon's smallest two-sided p is then above 0.05."""

Row = Mapping[str, Any]
Floats = npt.NDArray[np.float64]


def compare(challenger: Iterable[Row], champion: Iterable[Row], *, method: str = "restored") -> tuple[Paired, ...]:
    """Compare two models on the pictures, benchmarks and metrics that both were scored on.

    Args:
        challenger: rows with `image_id`, `benchmark`, `method`, `metric`, `value`.
        champion: likewise.
        method: whose rows are compared.

    Returns:
        One comparison per benchmark and metric, by name; none where they share nothing. The same rows give the same numbers,
        in any order.
    """
    ours, theirs = _values(challenger, method), _values(champion, method)
    tried = (_paired(key, ours[key], theirs[key]) for key in sorted(ours.keys() & theirs.keys()))
    found = [one for one in tried if one is not None]
    return tuple(one.model_copy(update={"p_holm": p}) for one, p in zip(found, holm([one.p_value for one in found]), strict=True))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for their number (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected, highest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = highest
    return corrected


def _values(rows: Iterable[Row], method: str) -> dict[tuple[str, str], dict[str, float]]:
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        if row["method"] == method and row["value"] is not None and math.isfinite(row["value"]):
            found.setdefault((row["benchmark"], row["metric"]), {})[row["image_id"]] = row["value"]
    return found


def _paired(key: tuple[str, str], ours: Mapping[str, float], theirs: Mapping[str, float]) -> Paired | None:
    benchmark, metric = key
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        return None
    sign = 1.0 if info(metric).higher_is_better else -1.0
    differences = np.array([sign * (ours[image] - theirs[image]) for image in shared])
    worst = sorted(zip(differences.tolist(), shared, strict=True))[:WORST]
    return Paired(
        benchmark=benchmark,
        metric=metric,
        n=len(shared),
        mean=float(differences.mean()),
        interval=bootstrap(differences.tolist()),
        p_value=_wilcoxon(differences),
        p_holm=1.0,
        wins=int((differences > 0).sum()),
        ties=int((differences == 0).sum()),
        losses=int((differences < 0).sum()),
        worst=tuple(Worst(image_id=image, difference=value) for value, image in worst if value < 0),
    )


def _wilcoxon(differences: Floats) -> float:
    """Two-sided p of the signed ranks; 1 where too few pictures differ to say anything."""
    if int((differences != 0).sum()) < LEAST:
        return 1.0
    return float(stats.wilcoxon(differences, zero_method="wilcox", method="auto").pvalue)
