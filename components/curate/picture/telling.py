"""What each section says in words and figures: from counts to the values that the template shows."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from components.backends.tables import Tables
from components.curate.picture import charts, facts
from components.curate.picture.charts import Mark
from components.curate.picture.cutoffs import Cutoffs
from components.curate.picture.duplicates import Found
from components.curate.picture.embedding import Map
from components.curate.picture.facts import Funnel
from components.curate.picture.sheets import Sheet
from components.curate.picture.subject import PaperFunnel, Subject
from components.curate.picture.wording import count, number, share, short

Shown = dict[str, Any]
CELL_PX = 48


def lead(funnel: Funnel, subject: Subject) -> str:
    """Say what became of the pictures in one sentence."""
    trusted = f" and {count(funnel.trusted)} from trusted sources" if funnel.trusted else ""
    return (
        f"Of {count(funnel.listed)} listed pictures {count(funnel.kept)} are kept ({share(funnel.kept, funnel.listed)}): "
        f"{count(funnel.kept - funnel.trusted)} of the {count(funnel.ranked)} that were ranked by {subject.metric.name}{trusted}."
    )


def figures(funnel: Funnel) -> list[tuple[str, str]]:
    """Give the numbers at the head of the page."""
    failed = sum(funnel.stages[0].removed.values())
    shown = [("listed", funnel.listed), ("failed", failed), ("rejected", funnel.listed - failed - funnel.kept), ("kept", funnel.kept)]
    return [(name, count(value)) for name, value in shown]


def versions(subject: Subject) -> dict[str, str]:
    """Give what identifies the dataset and what made it."""
    settings = {name.replace("_", " "): f"{value:g}" if isinstance(value, float) else str(value) for name, value in subject.settings}
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


def steps(funnel: Funnel, paper: PaperFunnel) -> list[Shown]:
    """Give the stages of our funnel with the paper's beside those that it reports."""
    reported = {
        "Textured": (paper.filtered, paper.listed, "after blur and flatness"),
        "Top of the rank": (paper.ranked, paper.filtered, "the top 20 % by CLIP-IQA"),
    }
    shown = [_step("Listed", "rows of the manifest", funnel.listed, funnel.listed)]
    shown[0]["paper"] = _reported(paper.listed, paper, "from the web and Photo-Concept-Bucket")
    before = funnel.listed
    for stage in funnel.stages:
        last = stage is funnel.stages[-1]
        left = funnel.kept - funnel.trusted if last else stage.left
        step = _step(stage.name, stage.rule, left, funnel.listed)
        step["of_before"] = f"{share(left, funnel.ranked)} of the ranked" if last else f"{share(left, before)} of the stage before"
        step["removed"] = [f"{name} {count(n)} ({share(n, funnel.listed)})" for name, n in stage.removed.items()]
        if stage.name in reported:
            value, whole, words = reported[stage.name]
            step["paper"] = _reported(value, paper, f"· {share(value, whole)} of {short(whole)}: {words}")
        shown.append(step)
        before = stage.left
    end = _step("Dataset", "with the trusted, which skip the rank", funnel.kept, funnel.listed)
    end["of_before"] = f"{count(funnel.trusted)} of them trusted"
    end["paper"] = _reported(paper.total, paper, f"with {short(paper.trusted)} trusted of LSDIR")
    return [*shown, end]


def _step(name: str, rule: str, left: int, listed: int) -> Shown:
    percent = f"{100 * left / max(1, listed):.2f}"
    words = {"left": count(left), "of_listed": share(left, listed), "of_before": "", "percent": percent}
    return {"name": name, "rule": rule, **words, "removed": [], "paper": None}


def _reported(value: int, paper: PaperFunnel, words: str) -> Shown:
    whole = "" if value == paper.listed else f" · {share(value, paper.listed)} of listed "
    return {"left": short(value), "percent": f"{100 * value / paper.listed:.2f}", "words": f"{whole}{words}"}


def failures(tables: Tables, listed: int) -> list[Shown]:
    """Give the reasons of rows without a picture, with examples."""
    return [
        {
            "reason": row["reason"] or "no reason",
            "n": count(row["n"]),
            "share": share(row["n"], listed),
            "origins": ", ".join(row["origins"]),
        }
        for row in facts.failures(tables)
    ]


def histograms(tables: Tables, subject: Subject, rejected: Mapping[str, int]) -> list[Shown]:
    """Draw the three scores with their limits."""
    settings, metric = subject.settings, subject.metric
    bins = facts.bins_for(subject.curated.rows)
    low, high = Mark(settings.blur_minimum, f"{settings.blur_minimum:g}"), Mark(settings.blur_maximum, f"{settings.blur_maximum:g}")
    flat = Mark(settings.flat_share_maximum, f"{100 * settings.flat_share_maximum:g} %")
    blur_words = f"{count(rejected.get('blurred', 0))} below the minimum, {count(rejected.get('noisy', 0))} above the maximum."
    shown = [
        _histogram(tables, "Blur score: variance of the Laplacian", ("blur", facts.BLUR, bins, ("blurred", "noisy")), [low, high], blur_words),
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
    return {"title": one.title.replace("_", " "), "words": f"{one.note}{' · ' if one.note else ''}{shown}", "thumbs": one.thumbs}


def twice(found: Found, rejected: Mapping[str, int]) -> Shown:
    """Say how many duplicates and leaks there are."""
    near, equal, leaked = (rejected.get(name, 0) for name in ("near_duplicate", "duplicate_bytes", "leak"))
    sizes = "; ".join(f"{n} of {size}" for size, n in ((size, count(n)) for size, n in found.sizes))
    groups = f" Groups by size: {sizes}." if sizes else ""
    words = (
        f"{count(near)} pictures stand behind a better one that shows the same, in {count(found.groups)} groups. "
        f"{count(equal)} rows have the bytes of an earlier row, and {count(leaked)} share content with a benchmark.{groups}"
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
        "cuts": found.cuts,
        "present": found.present,
        "moved": found.moved,
        "sheets": found.sheets,
        "words": (
            f"The rank holds {count(funnel.ranked)} pictures, best first by {subject.metric.name}, ties by id. The paper looked at 10, 20 "
            "and 30 %. Below: the last pictures that each cut keeps and the first that it drops."
        ),
        "note": (
            "Quality was measured only on what passed the filters as set. Pictures that a wider limit lets in (“without a score”) must be "
            "scored, and the rank made again, before one knows which of them are kept; this table counts what would pass, not what would be kept."
        ),
    }


def paper_note(paper: PaperFunnel) -> str:
    """Say what the paper's funnel leaves open."""
    return (
        "The paper gives no numbers for decoding, equal bytes, size, benchmarks or near-duplicates. "
        f"Its {short(paper.trusted)} trusted pictures (LSDIR) come on top of the {short(paper.listed)} listed; trusted ones here are among the listed. "
        f"It prints the sum of {short(paper.ranked)} and {short(paper.trusted)} as {short(paper.total)}."
    )

