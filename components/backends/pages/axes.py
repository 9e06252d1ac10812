"""Scales of the charts: from a value to a place, in Python for the drawing and in SQL for the counting."""

from __future__ import annotations

import math
from dataclasses import dataclass

from components.backends.pages.wording import short


@dataclass(frozen=True)
class Axis:
    """A range of values; what lies beyond an end is drawn at that end."""

    low: float
    high: float
    log: bool = False
    percent: bool = False
    """Labels in per cent of 1."""

    def at(self, value: float) -> float:
        """Give the place of a value, 0 at the low end and 1 at the high one."""
        place = (self._scaled(value) - self._scaled(self.low)) / (self._scaled(self.high) - self._scaled(self.low))
        return min(1.0, max(0.0, place))

    def bin_of(self, column: str, bins: int) -> str:
        """Give SQL for the bin (0 .. bins - 1) of a column; a bin holds its upper edge, as a maximum that passes does."""
        value = f"log10(greatest({column}, {self.low!r}))" if self.log else column
        low, high = self._scaled(self.low), self._scaled(self.high)
        return f"greatest(0, least({bins - 1}, ceil(({value} - {low!r}) / {high - low!r} * {bins} - 1e-9) - 1))::int"

    def ticks(self) -> list[tuple[float, str]]:
        """Give (place, label) of a few round values."""
        if self.log:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            values = [10.0**power for power in powers]
            return [(self.at(value), short(value)) for value in values]
        step = round_step((self.high - self.low) / 4)
        first = math.ceil(self.low / step - 1e-9)
        values = [step * index for index in range(first, math.floor(self.high / step + 1e-9) + 1)]
        return [(self.at(value), f"{100 * value:.0f} %" if self.percent else short(value)) for value in values]

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self.log else value


def round_step(rough: float) -> float:
    """Give the nearest 1, 2, 2.5 or 5 times a power of ten that is not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))


def covering(low: float, high: float) -> Axis:
    """Make a linear axis with round ends around a range."""
    if high <= low:
        low, high = low - 0.5, high + 0.5
    step = round_step((high - low) / 8)
    return Axis(step * math.floor(low / step), step * math.ceil(high / step))
