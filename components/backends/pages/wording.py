"""Numbers and names as pages write them."""

from __future__ import annotations


def count(value: float) -> str:
    """Write a whole number with separators: 1,234,567."""
    return f"{round(value):,}"


def plural(value: int, one: str, many: str = "") -> str:
    """Write a count with its noun."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def signed(value: float) -> str:
    """Write a difference with its sign: + 12, − 0.1."""
    return f"{'−' if value < 0 else '+'} {abs(value):,}" if value else "0"


def share(part: float, whole: float) -> str:
    """Write a part of a whole in per cent; a small one keeps a second digit."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    digits = 0 if percent in (0, 100) else 1 if percent >= 1 else 2
    return f"{percent:.{digits}f} %" if percent == 0 or percent >= 0.01 else "< 0.01 %"


def number(value: float | None) -> str:
    """Write a score with about three significant digits."""
    if value is None:
        return "–"
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.3g}"


def short(value: float) -> str:
    """Write a number for an axis: 12K, 3.4M, 0.25."""
    for step, letter in ((1e6, "M"), (1e3, "K")):
        if abs(value) >= step:
            return f"{value / step:.3g}{letter}"
    return f"{value:.3g}"


def tail(origin: str) -> str:
    """Give the last part of an origin, which is what fits under a picture."""
    return origin.rstrip("/").rpartition("/")[2] or origin
