"""Self-contained HTML pages and contact sheets: no script from elsewhere, no network, works by keyboard."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import jinja2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

GAP_PX = 8
TITLE_PX = 26
WHITE = 255


@dataclass(frozen=True)
class Slider:
    """One before/after pair."""

    title: str
    before: bytes
    """PNG or JPEG of what came in."""
    after: bytes
    """PNG or JPEG of what came out, of the same size."""


@dataclass(frozen=True)
class Table:
    """A table with a caption; `best` holds (row, column) of the cells to stress, `text` the columns of words."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    best: frozenset[tuple[int, int]] = frozenset()
    note: str = ""
    text: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Page:
    """Everything that a report shows, top to bottom."""

    title: str
    lead: str
    """One or two sentences under the title."""
    facts: Mapping[str, str] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    curve: Sequence[tuple[float, float]] = ()
    """(step, loss) of the training; drawn smoothed over the raw points."""
    sheet: bytes = b""
    """PNG of the contact sheet."""
    sliders: Sequence[Slider] = ()


def render(page: Page) -> str:
    """Give the page as one HTML text with every picture inside."""
    return fill(_TEMPLATE, page=page, curve=curve_points(page.curve), data=data_uri)


def fill(template: str, **values: Any) -> str:
    """Fill a Jinja template; every value is escaped, and a name that is missing is an error."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(**values)


def curve_points(curve: Sequence[tuple[float, float]], *, width: int = 640, height: int = 200) -> dict[str, Any]:
    """Map a loss curve into a box; the smooth line is a running mean over a twentieth of the points."""
    if not curve:
        return {}
    steps = np.array([step for step, _ in curve], dtype=np.float64)
    losses = np.array([loss for _, loss in curve], dtype=np.float64)
    window = max(1, len(losses) // 20)
    padded = np.pad(losses, (window // 2, window - 1 - window // 2), mode="edge")
    smooth = np.convolve(padded, np.ones(window) / window, mode="valid")
    low, high = float(losses.min()), float(losses.max())
    across = width * (steps - steps[0]) / max(1.0, steps[-1] - steps[0])

    def line(values: npt.NDArray[np.float64]) -> str:
        down = height * (1 - (values - low) / max(1e-12, high - low))
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))

    return {
        "raw": line(losses),
        "smooth": line(smooth),
        "low": f"{low:.3f}",
        "high": f"{high:.3f}",
        "first": int(steps[0]),
        "last": int(steps[-1]),
    }


def contact_sheet(rows: Sequence[Sequence[Image]], titles: Sequence[str]) -> Image:
    """Put pictures on a white sheet, a row per photo, with a title over each column.

    Args:
        rows: (H, W, 3) uint8 RGB pictures, every row as many as there are titles.
        titles: plain ASCII.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    widths = [max(row[column].shape[1] for row in rows) for column in range(len(titles))]
    heights = [max(image_u8.shape[0] for image_u8 in row) for row in rows]
    size = (TITLE_PX + sum(heights) + GAP_PX * (len(rows) + 1), sum(widths) + GAP_PX * (len(titles) + 1), 3)
    sheet = np.full(size, WHITE, dtype=np.uint8)
    lefts = [GAP_PX + sum(widths[:column]) + GAP_PX * column for column in range(len(titles))]
    for left, title in zip(lefts, titles, strict=True):
        cv2.putText(sheet, title, (left, TITLE_PX - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (30, 30, 30), 1, cv2.LINE_AA)
    top = TITLE_PX + GAP_PX
    for row, height in zip(rows, heights, strict=True):
        for image_u8, left in zip(row, lefts, strict=True):
            sheet[top : top + image_u8.shape[0], left : left + image_u8.shape[1]] = image_u8
        top += height + GAP_PX
    return sheet


def thumbnail(image_u8: Image, side: int) -> Image:
    """Make a picture smaller so that its longer side is at most `side`; (H, W, 3) uint8 RGB."""
    height, width = image_u8.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: Image = cv2.resize(image_u8, size, interpolation=cv2.INTER_AREA)
    return small


def data_uri(picture: bytes) -> str:
    """Give a PNG or JPEG as an address that holds the picture itself."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ page.title }}</title>
<style>
:root { color-scheme: light dark; --line: #8886; --soft: #8882; --accent: #0b6bcb; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; margin: .5rem 0; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; } dt { opacity: .75; }
dd { margin: 0; overflow-wrap: anywhere; font-family: ui-monospace, monospace; font-size: .9rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; min-width: 20rem; }
caption { text-align: left; font-weight: 600; padding: .5rem 0; }
th, td { padding: .25rem .75rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
td.text, th.text { text-align: left; white-space: normal; min-width: 12rem; overflow-wrap: anywhere; }
.best { font-weight: 700; background: var(--soft); }
.note { opacity: .8; font-size: .9rem; } img { max-width: 100%; height: auto; }
svg { width: 100%; max-width: 680px; height: auto; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); gap: 1rem; }
.pair { position: relative; overflow: hidden; border: 1px solid var(--line); }
.pair img { display: block; width: 100%; image-rendering: auto; }
.pair .after { position: absolute; inset: 0; clip-path: inset(0 0 0 var(--cut, 50%)); }
.pair .bar { position: absolute; top: 0; bottom: 0; left: var(--cut, 50%); width: 2px;
  background: #fff; box-shadow: 0 0 2px #000; }
figure { margin: 0; } figcaption { font-size: .9rem; } input[type=range] { width: 100%; accent-color: var(--accent); }
</style>
</head>
<body>
<h1>{{ page.title }}</h1>
<p>{{ page.lead }}</p>
{% if page.facts %}
<dl>
{% for name, value in page.facts.items() %}
<dt>{{ name }}</dt><dd>{{ value }}</dd>
{% endfor %}
</dl>
{% endif %}
{% for table in page.tables %}
<div class="scroll"><table>
<caption>{{ table.caption }}</caption>
<thead><tr>
{% for cell in table.header %}
<th scope="col"{% if loop.index0 in table.text %} class="text"{% endif %}>{{ cell }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for row in table.rows %}
{% set y = loop.index0 %}
<tr>
{% for cell in row %}
{% set shown = ["best"] * ((y, loop.index0) in table.best) + ["text"] * (loop.index0 in table.text) %}
<td{% if shown %} class="{{ shown|join(" ") }}"{% endif %}>{{ cell }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table></div>
{% if table.note %}<p class="note">{{ table.note }}</p>{% endif %}
{% endfor %}
{% if curve %}
<h2>Training loss</h2>
<svg viewBox="-4 -14 700 236" role="img" aria-label="Loss from step {{ curve.first }} to {{ curve.last }}">
<polyline points="{{ curve.raw }}" fill="none" stroke="currentColor" stroke-opacity=".25"/>
<polyline points="{{ curve.smooth }}" fill="none" stroke="var(--accent)" stroke-width="2"/>
<g font-size="12" fill="currentColor"><text x="646" y="8">{{ curve.high }}</text><text x="646" y="200">{{ curve.low }}</text>
<text x="0" y="218">step {{ curve.first }}</text><text x="560" y="218">step {{ curve.last }}</text></g>
</svg>
<p class="note">Thin: every logged step. Thick: mean over a twentieth of the steps.</p>
{% endif %}
{% if page.sliders %}
<h2>Before and after</h2>
<div class="pairs">
{% for pair in page.sliders %}
<figure>
<div class="pair"><img src="{{ data(pair.before) }}" alt="before: {{ pair.title }}">
<img class="after" src="{{ data(pair.after) }}" alt="after: {{ pair.title }}"><span class="bar"></span></div>
<figcaption><label>{{ pair.title }}
<input type="range" min="0" max="100" value="50"></label></figcaption>
</figure>
{% endfor %}
</div>
{% endif %}
{% if page.sheet %}
<h2>Contact sheet</h2>
<img src="{{ data(page.sheet) }}" alt="Contact sheet">
{% endif %}
<script>
for (const range of document.querySelectorAll('input[type=range]')) {
  const pair = range.closest('figure').querySelector('.pair');
  range.addEventListener('input', () => pair.style.setProperty('--cut', range.value + '%'));
}
</script>
</body>
</html>
"""
