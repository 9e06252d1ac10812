"""From uniform numbers in [0, 1) to values; every value takes a number, whether it is used or not."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field

N = TypeVar("N", bound=float)


def in_order(limits: tuple[N, N]) -> tuple[N, N]:
    """Refuse a range whose lower end is the higher one."""
    if limits[0] > limits[1]:
        raise ValueError(f"expected the lower end first, got {list(limits)}")
    return limits


Share = Annotated[float, Field(ge=0, le=1)]
Range = Annotated[tuple[float, float], AfterValidator(in_order)]
"""Both ends; what is drawn is uniform between them."""
AtLeastZero = Annotated[tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]], AfterValidator(in_order)]
AboveZero = Annotated[tuple[Annotated[float, Field(ge=1e-4)], Annotated[float, Field(ge=1e-4)]], AfterValidator(in_order)]
"""Values are rounded to four digits."""
Quality = Annotated[int, Field(ge=1, le=100)]
Qualities = Annotated[tuple[Quality, Quality], AfterValidator(in_order)]
"""Whole libjpeg qualities, both ends included."""


def between(limits: tuple[float, float], at: float) -> float:
    """Map [0, 1) to a range; rounded, so that a recipe's text stays short and is what is applied."""
    low, high = limits
    return round(low + (high - low) * at, 4)


def whole(limits: tuple[int, int], at: float) -> int:
    """Map [0, 1) to the whole numbers of a range, both ends included and equally likely."""
    low, high = limits
    return low + int(at * (high - low + 1))


def choose(shares: Sequence[float], at: float) -> int:
    """Index of the share that a number falls into; shares need not add up to one."""
    bounds = _bounds(tuple(shares))
    return min(bisect.bisect_right(bounds, at * bounds[-1]), len(bounds) - 1)


@lru_cache(maxsize=64)
def _bounds(shares: tuple[float, ...]) -> list[float]:
    return list(itertools.accumulate(shares))
