"""Charts as SVG text; colours are classes of the page, so that they follow light and dark."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.backends.pages.axes import Axis, round_step
from components.backends.pages.wording import short

WIDTH, HEIGHT = 400, 240
LEFT, RIGHT, TOP, BOTTOM = 44, 22, 26, 40
BOX_PX = 22
"""Height of one row of boxes below the outlines."""

Quantiles = Sequence[float]
"""5, 25, 50, 75 and 95 %."""


@dataclass(frozen=True)
class Mark:
    """A limit that is drawn as a line."""

    value: float
    label: str


@dataclass(frozen=True)
class Series:
    """One dataset in a comparison."""

    css: str
    shares: Sequence[float]
    """Share of its pictures in each bin."""
    quantiles: Quantiles


def histogram(title: str, counts: Sequence[Sequence[int]], axis: Axis, marks: Sequence[Mark], *, label: str) -> str:
    """Draw stacked bars.

    Args:
        title: what a screen reader says.
        counts: per class (kept, rejected here, rejected elsewhere) the pictures of each bin.
        axis: of the score.
        marks: limits.
        label: name and unit of the score.
    """
    bins = len(counts[0])
    high = max(1, *(sum(column) for column in zip(*counts, strict=True)))
    width, height = (WIDTH - LEFT - RIGHT) / bins, HEIGHT - TOP - BOTTOM
    base = [0.0] * bins
    body = []
    for css, values in zip(("kept", "here", "other"), counts, strict=True):
        path = ""
        for index, value in enumerate(values):
            if value:
                size = height * value / high
                across = width - 0.8
                path += f"M{LEFT + index * width:.1f} {TOP + height - base[index]:.1f}h{across:.1f}v{-size:.2f}h{-across:.1f}z"
                base[index] += size
        body.append(f'<path class="{css}" d="{path}"/>')
    return _svg(
        title, HEIGHT, [_down(high, height), *body, _across(axis, TOP + height, label), *_marks(marks, axis, TOP + height)]
    )


def dots(title: str, rows: Sequence[Mapping[str, Any]], axis: Axis) -> str:
    """Draw one dot per size of picture, its area by how many there are; kept ones lie on top.

    Args:
        title: what a screen reader says.
        rows: with `x` and `y` in px, `n` pictures and `kept` of them.
        axis: of both sides.
    """
    side = WIDTH - LEFT - RIGHT
    most = max((row["n"] for row in rows), default=1)
    body = []
    for css, field in (("other", "n"), ("kept", "kept")):
        for row in rows:
            if row[field]:
                radius = 2.5 + 6 * math.sqrt((row[field] - 1) / max(1, most - 1))
                x, y = LEFT + side * axis.at(row["x"]), TOP + side * (1 - axis.at(row["y"]))
                body.append(f'<circle class="{css} dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>')
    return _square(title, axis, body)


def density(title: str, rows: Sequence[Mapping[str, Any]], axis: Axis, bins: int) -> str:
    """Draw a grid of cells, darker for more pictures on a log scale; kept ones are an inset of each cell.

    Args:
        title: what a screen reader says.
        rows: with the cell `x`, `y`, `n` pictures and `kept` of them.
        axis: of both sides.
        bins: cells a side.
    """
    cell = (WIDTH - LEFT - RIGHT) / bins
    body = []
    for css, field, inset in (("other", "n", 0.0), ("kept", "kept", cell * 0.2)):
        most = max((row[field] for row in rows), default=1)
        paths: dict[int, str] = {}
        for row in rows:
            if row[field]:
                step = 1 + round(7 * math.log1p(row[field]) / math.log1p(most))
                x, y, size = LEFT + row["x"] * cell + inset, TOP + (bins - 1 - row["y"]) * cell + inset, cell - 2 * inset
                paths[step] = paths.get(step, "") + f"M{x:.1f} {y:.1f}h{size:.1f}v{size:.1f}h{-size:.1f}z"
        body += [f'<path class="{css}" opacity="{step / 8:.2f}" d="{path}"/>' for step, path in sorted(paths.items())]
    return _square(title, axis, body)


def outlines(title: str, series: Sequence[Series], axis: Axis, *, label: str) -> str:
    """Draw the distribution of each dataset as an outline, and below it a box: 5 to 95 %, 25 to 75 %, median."""
    bins, height = len(series[0].shares), HEIGHT - TOP - BOTTOM - 30
    high = max(1e-9, *(max(one.shares) for one in series))
    inner = WIDTH - LEFT - RIGHT
    body = [_down(100 * high, height, " %")]
    for one in series:
        points: list[str] = []
        for index, value in enumerate(one.shares):
            y = TOP + height * (1 - value / high)
            points += [f"{LEFT + inner * index / bins:.1f},{y:.1f}", f"{LEFT + inner * (index + 1) / bins:.1f},{y:.1f}"]
        body.append(f'<polyline class="line {one.css}" points="{" ".join(points)}"/>')
    bottom = TOP + height + 8
    for row, one in enumerate(series):
        low, first, median, third, top = (LEFT + inner * axis.at(value) for value in one.quantiles)
        y = bottom + BOX_PX * row + BOX_PX / 2
        body.append(
            f'<g class="box {one.css}"><path d="M{low:.1f} {y}H{top:.1f}"/>'
            f'<rect x="{first:.1f}" y="{y - 6}" width="{max(1.0, third - first):.1f}" height="12" rx="2"/>'
            f'<path class="median" d="M{median:.1f} {y - 8}v16"/></g>'
        )
    end = bottom + BOX_PX * len(series) + 4
    return _svg(title, end + BOTTOM, [*body, _across(axis, end, label)])


def _square(title: str, axis: Axis, body: Sequence[str]) -> str:
    """Put marks of width and height into a square frame with lines of equal shape."""
    side = WIDTH - LEFT - RIGHT
    rows = "".join(
        f'<text x="{LEFT - 6}" y="{TOP + side * (1 - place) + 4:.1f}" text-anchor="end">{label}</text>'
        f'<path class="grid" d="M{LEFT} {TOP + side * (1 - place):.1f}h{side}"/>'
        for place, label in _powers_of_two(axis)
    )
    columns = "".join(
        f'<text x="{LEFT + side * place:.1f}" y="{TOP + side + 16}" text-anchor="middle">{label}</text>'
        f'<path class="grid" d="M{LEFT + side * place:.1f} {TOP}v{side}"/>'
        for place, label in _powers_of_two(axis)
    )
    equal = f'<path class="limit soft" d="M{LEFT} {TOP + side}L{LEFT + side} {TOP}"/>'
    names = f'<text x="{WIDTH - RIGHT}" y="{TOP + side + 33}" text-anchor="end">width, px</text>'
    names += f'<text x="{LEFT - 40}" y="{TOP - 10}">height, px</text>'
    return _svg(title, TOP + side + BOTTOM, [rows, columns, *body, equal, names])


def _powers_of_two(axis: Axis) -> list[tuple[float, str]]:
    first, last = math.ceil(math.log2(axis.low)), math.floor(math.log2(axis.high))
    return [(axis.at(2.0**power), str(2**power)) for power in range(first, last + 1, 2)]


def _marks(marks: Sequence[Mark], axis: Axis, bottom: float) -> list[str]:
    drawn = []
    for mark in marks:
        x = LEFT + (WIDTH - LEFT - RIGHT) * axis.at(mark.value)
        anchor = "end" if x > WIDTH * 0.8 else "start" if x < WIDTH * 0.2 else "middle"
        drawn.append(
            f'<path class="limit" d="M{x:.1f} {TOP - 4}V{bottom}"/>'
            f'<text class="strong" x="{x:.1f}" y="{TOP - 9}" text-anchor="{anchor}">{html.escape(mark.label)}</text>'
        )
    return drawn


def _down(high: float, height: float, unit: str = "") -> str:
    """Lines and labels of the vertical axis."""
    step = round_step(high / 3)
    parts = []
    for index in range(int(high / step) + 1):
        y = TOP + height * (1 - step * index / high)
        text = short(step * index)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}{unit}</text>')
    return "".join(parts)


def _across(axis: Axis, bottom: float, label: str) -> str:
    """Ticks and name of the horizontal axis."""
    inner = WIDTH - LEFT - RIGHT
    ticks = "".join(
        f'<path class="tick" d="M{LEFT + inner * place:.1f} {bottom}v4"/>'
        f'<text x="{LEFT + inner * place:.1f}" y="{bottom + 17}" text-anchor="middle">{text}</text>'
        for place, text in axis.ticks()
    )
    name = f'<text x="{WIDTH - RIGHT}" y="{bottom + 34}" text-anchor="end">{html.escape(label)}</text>'
    return f'<path class="tick" d="M{LEFT} {bottom}h{inner}"/>{ticks}{name}'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    name = html.escape(title, quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{name}">{"".join(parts)}</svg>'
