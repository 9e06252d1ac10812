"""How far a batch is from what it is compared with, statistic by statistic.

Two measures say how far two samples are apart, and both must: the population stability index (PSI) over bins of equal share
in the reference says that a shift is large enough to care about, the two-sample Kolmogorov-Smirnov test (KS) that it is no
accident. Its p values are corrected for the number of comparisons of a report by Holm, so a batch from the same source
raises any alarm with at most the probability `drift.level`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
from scipy import special

from components.backends.contracts.drift import stability_index
from components.backends.pages.wording import number
from components.imaging.iqa.paired import holm
from components.restore.control_settings import DriftSettings
from components.restore.drift.findings import DriftReport, Moved
from components.restore.drift.samples import Sample

Floats = npt.NDArray[np.float64]

BINS = 10
"""Of equal share in the reference; two more hold what lies below and above all of it."""
GROWN = 1.5
"""A bin that holds this many times its share in the reference is where a statistic moved to."""


def compare(batch: str, found: Sample, references: Mapping[str, Sample], settings: DriftSettings) -> DriftReport:
    """Hold a batch against references, statistic by statistic, over those that both have.

    Args:
        batch: id of the batch.
        found: its sample.
        references: name as it is written in reports -> sample; for example the training set and the last batches.
        settings: limits.
    """
    pairs = [
        (statistic, name, reference)
        for name, reference in references.items()
        for statistic in sorted(set(found.statistics) & set(reference.statistics), key=found.statistics.index)
    ]
    lines = [
        _line(statistic, name, found.values(statistic), reference.values(statistic), settings)
        for statistic, name, reference in pairs
    ]
    tested = [index for index, line in enumerate(lines) if line.p is not None]
    for index, p_holm in zip(tested, holm([lines[index].p or 0.0 for index in tested]), strict=True):
        lines[index] = _judged(lines[index], p_holm, settings)
    moved = {
        image_id
        for line, (statistic, _, reference) in zip(lines, pairs, strict=True)
        if line.verdict == "drifted"
        for image_id in _where_it_grew(found.values(statistic), reference.values(statistic))
    }
    return DriftReport(
        batch=batch,
        pictures=found.pictures,
        psi_maximum=settings.psi_maximum,
        level=settings.level,
        lines=tuple(lines),
        moved_ids=tuple(image_id for image_id in found.rows if image_id in moved)[: settings.named],
    )


def _edges(values: Floats) -> Floats:
    """Ends of bins of equal share; equal ones are one."""
    return np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1), method="inverted_cdf"))


def _places(values: Floats, edges: Floats) -> npt.NDArray[np.intp]:
    """Bin of each value: 0 below all edges, then [edge, next), the last of these with its upper end, and one above all."""
    last = max(1, len(edges) - 1)  # equal values have one edge, and a bin that is that value
    places = np.minimum(np.searchsorted(edges, values, side="right"), last)
    return np.where(values > edges[-1], last + 1, places)


def _counts(values: Floats, edges: Floats) -> list[int]:
    counts: list[int] = np.bincount(_places(values, edges), minlength=max(2, len(edges)) + 1).tolist()
    return counts


def _where_it_grew(found: Mapping[str, float], reference: Mapping[str, float]) -> Iterator[str]:
    """Ids whose values lie in bins that hold clearly more than in the reference."""
    values, before = np.array(list(found.values())), np.array(list(reference.values()))
    edges = _edges(before)
    now, then = (np.array(_counts(each, edges)) / len(each) for each in (values, before))
    for image_id, place in zip(found, _places(values, edges), strict=True):
        if now[place] > GROWN * then[place]:
            yield image_id


def _line(
    statistic: str, against: str, found: Mapping[str, float], reference: Mapping[str, float], settings: DriftSettings
) -> Moved:
    """Measure one statistic; without a verdict where there are enough values, `unknown` where there are not."""
    now, then = np.array(list(found.values())), np.array(list(reference.values()))
    medians = [float(np.median(values)) if len(values) else None for values in (now, then)]
    line = Moved(
        statistic=statistic,
        against=against,
        n=len(now),
        n_reference=len(then),
        median=medians[0],
        median_reference=medians[1],
        verdict="unknown",
        sentence="",
    )
    needed = settings.pictures_minimum
    if min(len(now), len(then)) < needed:
        short = f"this batch has {len(now)}" if len(now) < needed else f"the {against} has {len(then)}"
        return line.model_copy(
            update={"sentence": f"{statistic} is not judged: {short} pictures with a value, {needed} are needed."}
        )
    edges = _edges(then)
    psi = stability_index(_counts(then, edges), _counts(now, edges))
    distance = _distance(now, then)
    return line.model_copy(update={"psi": psi, "ks": distance, "p": _chance(distance, len(now), len(then))})


def _distance(now: Floats, then: Floats) -> float:
    """Largest distance of the two distribution functions."""
    every = np.concatenate([now, then])
    below = [np.searchsorted(np.sort(values), every, side="right") / len(values) for values in (now, then)]
    return float(np.abs(below[0] - below[1]).max())


def _chance(distance: float, n: int, m: int) -> float:
    """Probability of such a distance by chance: Kolmogorov's limit with Stephens' correction for few values (1970).

    scipy's ks_2samp evaluates the exact distribution of a one-sample test instead, a hundred times as slowly. Equal values
    make both too large, never too small.
    """
    root = math.sqrt(n * m / (n + m))
    return float(special.kolmogorov((root + 0.12 + 0.11 / root) * distance))


def _judged(line: Moved, p_holm: float, settings: DriftSettings) -> Moved:
    assert line.psi is not None
    drifted = line.psi > settings.psi_maximum and p_holm < settings.level
    medians = f"{number(line.median_reference)} in the {line.against}, {number(line.median)} now"
    sentence = f"{line.statistic}: median {medians}; PSI {line.psi:.3f}, KS p {p_holm:.2g} after correction."
    return line.model_copy(update={"p_holm": p_holm, "verdict": "drifted" if drifted else "steady", "sentence": sentence})
