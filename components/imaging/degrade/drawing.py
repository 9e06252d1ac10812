"""From uniform numbers in [0, 1) to values; every value takes a number, whether it is used or not."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

Range = tuple[float, float]


def between(limits: Range, at: float) -> float:
    """Map [0, 1) to a range; rounded, so that a recipe's text stays short and is what is applied."""
    low, high = limits
    return round(low + (high - low) * at, 4)


def choose(shares: Sequence[float], at: float) -> int:
    """Index of the share that a number falls into; shares need not add up to one."""
    bounds = list(itertools.accumulate(shares))
    place = at * bounds[-1]
    return next((index for index, bound in enumerate(bounds) if place < bound), len(bounds) - 1)
