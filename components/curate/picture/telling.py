"""What each section says in words and figures: from counts to the values that the template shows."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from components.backends.pages import charts
from components.backends.pages.charts import Mark
from components.backends.pages.wording import count, number, plural
from components.backends.tables import Tables
from components.curate.picture import facts
from components.curate.picture.cutoffs import Cutoffs
from components.curate.picture.duplicates import Found
from components.curate.picture.embedding import Map
from components.curate.picture.funnel import Funnel, Shown
from components.curate.picture.sheets import Sheet
from components.curate.picture.subject import Subject

CELL_PX = 48


def versions(subject: Subject) -> dict[str, str]:
    """Give what identifies the dataset and what made it."""
    settings = {
        name.replace("_", " "): f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in subject.settings
        if value != {}
    }
    direction = "higher" if subject.metric.higher_is_better else "lower"
    return {
        **subject.facts,
        "curated manifest": subject.curated.sha256,
        "made from manifest": subject.curated.parent or "–",
        "hash of the settings": subject.curated.settings or "–",
        "rows": count(subject.curated.rows),
        "quality": f"{subject.metric.name}, {direction} is better",
        **settings,
    }


def histograms(tables: Tables, subject: Subject, rejected: Mapping[str, int]) -> list[Shown]:
    """Draw the three scores with their limits."""
    settings, metric = subject.settings, subject.metric
    bins = facts.bins_for(subject.curated.rows)
    low, high = (
        Mark(settings.blur_minimum, f"{settings.blur_minimum:g}"),
        Mark(settings.blur_maximum, f"{settings.blur_maximum:g}"),
    )
    flat = Mark(settings.flat_share_maximum, f"{100 * settings.flat_share_maximum:g} %")
    blur_words = f"{count(rejected.get('blurred', 0))} below the minimum, {count(rejected.get('noisy', 0))} above the maximum."
    shown = [
        _histogram(
            tables,
            "Blur score: variance of the Laplacian",
            ("blur", facts.BLUR, bins, ("blurred", "noisy")),
            [low, high],
            blur_words,
        ),
        _histogram(
            tables,
            "Share of flat patches",
            ("flat_share", facts.FLAT, min(bins, 40), ("flat",)),
            [flat],
            f"{count(rejected.get('flat', 0))} above the maximum. Pictures below 240 px have no patch.",
        ),
    ]
    axis = facts.quality_axis(tables, ["decoded"])
    if axis is not None:
        cut = facts.quality_cut(tables, higher_is_better=metric.higher_is_better)
        marks = [Mark(cut, f"cut at {number(cut)}")] if cut is not None else []
        better = "Higher is better." if metric.higher_is_better else "Lower is better: what is kept lies on the left."
        words = f"{better} Measured on what passed the filters; {count(rejected.get('quality_rank', 0))} below the cut."
        shown.append(_histogram(tables, f"Quality: {metric.name}", ("quality", axis, bins, ("quality_rank",)), marks, words))
    return shown


def _histogram(tables: Tables, name: str, counted: tuple[Any, ...], marks: Sequence[Mark], words: str) -> Shown:
    column, axis, bins, here = counted
    counts = facts.histogram(tables, column, axis, bins, here)
    label = f"{name} (log)" if axis.log else name
    return {"name": name, "words": words, "svg": charts.histogram(f"{name}. {words}", counts, axis, marks, label=label)}


def resolution(tables: Tables) -> Shown:
    """Draw the sizes of the pictures and give their quantiles."""
    dense, rows = facts.sizes(tables)
    title = "Width and height of the kept pictures over all decoded ones, both axes logarithmic"
    if dense:
        svg = charts.density(title, rows, facts.SIDES, facts.DENSITY_BINS)
        words = "Each cell is darker for more pictures, on a log scale; both axes are logarithmic. The dashed line is the square."
    else:
        svg = charts.dots(title, rows, facts.SIDES)
        words = "A dot is a size, its area the number of pictures; both axes are logarithmic. The dashed line is the square."
    table = []
    for name, view in (("decoded", "decoded"), ("kept", "kept")):
        found = facts.pixels(tables, view)
        if found["side"]:
            table.append([f"{name}: shorter side, px", *(count(value) for value in found["side"])])
            table.append([f"{name}: megapixels", *(number(value) for value in found["megapixels"])])
    return {"svg": svg, "words": words, "rows": table}


def sheet(one: Sheet) -> Shown:
    """Head a contact sheet with what its pictures have in common."""
    shown = f"{len(one.thumbs)} of {count(one.total)} shown" if len(one.thumbs) < one.total else count(one.total)
    return {
        "title": one.title.replace("_", " ").capitalize(),
        "words": f"{one.note}{' · ' if one.note else ''}{shown}",
        "thumbs": one.thumbs,
    }


def twice(found: Found, rejected: Mapping[str, int]) -> Shown:
    """Say how many duplicates and leaks there are."""
    near, equal, leaked = (rejected.get(name, 0) for name in ("near_duplicate", "duplicate_bytes", "leak"))
    sizes = ", ".join(f"{count(n)} of {size}" for size, n in found.sizes)
    groups = f" Groups by number of pictures: {sizes}." if sizes else ""
    words = (
        f"{plural(near, 'picture')} put aside because a better one shows the same, in {plural(found.groups, 'group')}. "
        f"{plural(equal, 'row')} with the bytes of an earlier row. "
        f"{plural(leaked, 'picture')} sharing content with a benchmark.{groups}"
    )
    return {
        "words": words,
        "shown": found.shown,
        "equal": found.equal,
        "equal_words": f"{len(found.equal)} of {count(equal)} shown",
        "benchmarks": [[name, count(n)] for name, n in found.benchmarks],
    }


def mapped(drawn: Map) -> Shown:
    """Draw the map: a tile per picture, framed when it is of another dataset."""
    width, height = CELL_PX * drawn.columns, CELL_PX * drawn.rows
    tiles = []
    for tile in drawn.tiles:
        place = f'x="{CELL_PX * tile.column + 1}" y="{CELL_PX * tile.row + 1}" width="{CELL_PX - 2}" height="{CELL_PX - 2}"'
        frame = "" if tile.css == drawn.names[0][0] else f'<rect class="{tile.css}" {place}/>'
        tiles.append(f'<image href="{tile.uri}" {place} preserveAspectRatio="none"/>{frame}')
    names = ", ".join(name for _, name in drawn.names)
    label = html.escape(f"Map of {len(drawn.tiles)} pictures by similarity: {names}", quote=True)
    words = (
        "A sample laid out by t-SNE (fixed seed): pictures that are alike lie together, every one on a free place of a grid. "
        f"After figure 6 of the paper. Shown: {names}."
    )
    return {
        "svg": f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{"".join(tiles)}</svg>',
        "words": words,
        "names": drawn.names,
        "features": f"Distance: {drawn.features}.",
    }


def cuts(found: Cutoffs, funnel: Funnel, subject: Subject) -> Shown:
    """Say what other cuts would keep."""
    return {
        "cut_header": ["cut", "kept by the rank", "with the trusted", f"{subject.metric.name} at the cut"],
        "moved_header": ["limit", "passes", "of those filtered", "change", "kept pictures lost", "without a score"],
        "cuts": found.cuts,
        "present": found.present,
        "moved": found.moved,
        "sheets": found.sheets,
        "words": (
            f"The rank holds {plural(funnel.ranked, 'picture')}, best first by {subject.metric.name}, ties by id. "
            "The paper looked at 10, 20 and 30 %. Below: the last pictures that each cut keeps and the first that it drops."
        ),
        "note": (
            "Quality was measured only on what passed the filters as set. Pictures that a wider limit lets in (“without a "
            "score”) must be scored, and the rank made again, before one knows which of them are kept: this table counts what "
            "would pass, not what would be kept."
        ),
    }
