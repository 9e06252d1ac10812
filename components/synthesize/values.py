"""What was drawn, counted: every value against its range, every choice against its share.

Counting reads the packed recipes that were written, not the numbers that made them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from scipy import stats

from components.backends import manifest
from components.backends.storage import open_storage
from components.imaging.degrade.observed import Value, observed
from components.imaging.degrade.parameters import Choice, Parameter, Uniform, parameters
from components.imaging.degrade.presets import DegradeSettings
from components.imaging.degrade.recipe import Recipe
from components.records import Manifest, content_hash

OPERATOR = "drawn-1"
BINS = 20
FINE = 1e-4
"""Ranges whose values are rounded more coarsely have no exact half."""

Row = dict[str, Any]


@dataclass(frozen=True)
class CountJob:
    """Some parts of pairs."""

    objects: str
    degradation: DegradeSettings
    parts: tuple[str, ...]

    @cached_property
    def key(self) -> str:
        """Part that says that this job is done."""
        return f"parts/drawn/{content_hash(OPERATOR, self.degradation, self.parts)}.parquet"


def count_drawn(job: CountJob) -> str:
    """Count the values in the recipes of some parts, and give the key of the counts."""
    store = open_storage(job.objects)
    if store.exists(job.key):
        return job.key
    texts = (row["recipe"] for key in job.parts for row in manifest.read_part(store, key))
    return manifest.write_part(store, job.key, "drawn", counted((Recipe.unpack(text) for text in texts), job.degradation))


def summary_key(pairs: Manifest) -> str:
    """Where the counts over all recipes of a manifest are kept."""
    return f"parts/drawn/{OPERATOR}-{pairs.sha256}.parquet"


def counted(recipes: Iterable[Recipe], settings: DegradeSettings) -> list[Row]:
    """Count values by parameter and word; the words of a range are its bins, `below` and `above`."""
    known = parameters(settings)
    counts: Counter[tuple[str, str]] = Counter()
    ends: dict[tuple[str, str], list[float]] = defaultdict(lambda: [float("inf"), float("-inf")])
    for one in recipes:
        for name, value in observed(one, settings):
            at = name, _word(known.get(name), value)
            counts[at] += 1
            if not isinstance(value, str):
                low, high = ends[at]
                ends[at] = [min(low, value), max(high, value)]
    return [
        {"name": name, "word": word, "n": n, **dict(zip(("low", "high"), ends.get((name, word), (None, None)), strict=True))}
        for (name, word), n in sorted(counts.items())
    ]


def _word(parameter: Parameter | None, value: Value) -> str:
    if parameter is None:
        return "unexpected"
    if isinstance(value, str) or isinstance(parameter, Choice):
        return str(value)
    if value < parameter.low - parameter.grain:
        return "below"
    if value > parameter.high + parameter.grain:
        return "above"
    width = parameter.high - parameter.low + parameter.whole
    place = (value - parameter.low) / width if width else 0.0
    return f"{min(BINS - 1, max(0, int(place * BINS))):02d}"


def judged(counts: Sequence[Mapping[str, Any]], settings: DegradeSettings) -> list[Row]:
    """Give a row for each word of each choice and for the lower half of each range: how many sigmas it is off.

    The chance to be off as far is the exact binomial one, written as sigmas of a normal distribution, so that few pairs are
    judged as justly as millions.

    Args:
        counts: rows with `name`, `word`, `n`.
        settings: what the recipes were drawn from.
    """
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for row in counts:
        found[row["name"]][row["word"]] = row["n"]
    rows: list[Row] = []
    known = parameters(settings)
    for name in sorted(set(found) - set(known)):
        n = sum(found[name].values())
        rows.append({"id": name, "origin": f"{n} that the settings do not know", "n": n, "outside": n, "sigmas": 0.0})
    for name, parameter in known.items():
        seen = found.get(name, {})
        n = sum(seen.values())
        if isinstance(parameter, Choice):
            words = sorted({*parameter.shares, *seen})
            rows += [_judged(f"{name} = {word}", seen.get(word, 0), n, parameter.shares.get(word, 0.0)) for word in words if n]
        elif n:
            rows.append(_judged_range(name, parameter, seen, n))
    return rows


def _judged(name: str, seen: int, n: int, share: float) -> Row:
    outside = seen if share == 0 else n - seen if share == 1 else 0
    said = f"{seen} of {n}, expected {share:.4g} of them"
    return {"id": name, "origin": said, "n": n, "outside": outside, "sigmas": _sigmas(seen, n, share)}


def _judged_range(name: str, parameter: Uniform, seen: Mapping[str, int], n: int) -> Row:
    """Judge a range; a range of whole numbers, or of a single one, has no exact half."""
    outside = seen.get("below", 0) + seen.get("above", 0)
    lower = sum(seen.get(f"{bin_:02d}", 0) for bin_ in range(BINS // 2))
    halves = not parameter.whole and parameter.grain <= FINE and parameter.high - parameter.low > 100 * FINE
    said = f"{outside} of {n} outside {parameter.low:.4g} .. {parameter.high:.4g}, {lower} in the lower half"
    sigmas = _sigmas(lower, n, 0.5) if halves else 0.0
    return {"id": name, "origin": said, "n": n, "outside": outside, "sigmas": sigmas}


def _sigmas(seen: int, n: int, share: float) -> float:
    if share in (0.0, 1.0):
        return 0.0
    chance = stats.binomtest(seen, n, share).pvalue
    sigmas = float(stats.norm.isf(max(chance, 1e-300) / 2))
    return sigmas if seen >= n * share else -sigmas
