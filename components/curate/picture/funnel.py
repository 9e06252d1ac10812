"""The funnel: what each rule removed and what was left, beside what the paper reports of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.backends.pages.wording import count, plural, share, short
from components.backends.tables import Tables
from components.curate.picture.facts import VIEW
from components.curate.picture.subject import PaperFunnel, Subject

Shown = dict[str, Any]

REASONS_NAMED = 8


@dataclass(frozen=True)
class Stage:
    """One rule, what it removed and what was left after it."""

    name: str
    rule: str
    removed: Mapping[str, int]
    """Rows by reason."""
    left: int


@dataclass(frozen=True)
class Funnel:
    """Every row of the manifest, by the stage that decided it."""

    listed: int
    stages: Sequence[Stage]
    kept: int
    trusted: int
    """Of the kept ones, those that were not ranked."""
    ranked: int
    """Rows that took part in the rank."""


def funnel(tables: Tables, subject: Subject) -> Funnel:
    """Count rows by the stage that decided them; the stages are in their order and sum to all rows."""
    counts = tables.rows(f"select verdict, reason, trusted, count(*) as n from {VIEW} group by all order by all")
    failed: dict[str, int] = {}
    rejected: dict[str, int] = {}
    for row in counts:
        if row["verdict"] != "kept":
            group = failed if row["verdict"] == "failed" else rejected
            group[row["reason"]] = group.get(row["reason"], 0) + row["n"]
    kept = sum(row["n"] for row in counts if row["verdict"] == "kept")
    trusted = sum(row["n"] for row in counts if row["verdict"] == "kept" and row["trusted"])
    listed = sum(row["n"] for row in counts)
    ranked = kept - trusted + rejected.get("quality_rank", 0)
    left, stages = listed, []
    for name, rule, removed in _rules(subject, failed, rejected):
        left -= sum(removed.values())
        stages.append(Stage(name, rule, dict(sorted(removed.items(), key=lambda item: (-item[1], item[0]))), left))
    return Funnel(listed, stages, kept, trusted, ranked)


def _rules(subject: Subject, failed: Mapping[str, int], rejected: Mapping[str, int]) -> list[tuple[str, str, Mapping[str, int]]]:
    settings, metric = subject.settings, subject.metric.name

    def of(*names: str) -> dict[str, int]:
        return {name: rejected[name] for name in names if name in rejected}

    rules: list[tuple[str, str, Mapping[str, int]]] = [
        ("Decoded", "the whole file is a picture", failed),
        ("New bytes", "no earlier row has the same bytes", of("duplicate_bytes")),
        ("Not in a benchmark", f"shares less than {100 * settings.leak_overlap:g} % with one", of("leak")),
        ("Large enough", "both sides from 240 px", of("too_small")),
        ("Sharp", f"blur score {settings.blur_minimum:g} to {settings.blur_maximum:g}", of("blurred", "noisy")),
        ("Textured", f"at most {100 * settings.flat_share_maximum:g} % flat patches", of("flat")),
        ("Has a quality", f"{metric} gives a value", of("no_quality")),
        ("Best of its group", "a better picture does not show the same", of("near_duplicate")),
        ("Top of the rank", f"best {100 * settings.keep_share:g} % by {metric}; trusted ones skip it", of("quality_rank")),
    ]
    known = {name for _, _, removed in rules[1:] for name in removed}
    other = {name: n for name, n in rejected.items() if name not in known}
    return [*rules[:-1], ("Other rules", "reasons that this page does not know", other), rules[-1]] if other else rules


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
    shown = [
        ("listed", funnel.listed),
        ("failed", failed),
        ("rejected", funnel.listed - failed - funnel.kept),
        ("kept", funnel.kept),
    ]
    return [(name, count(value)) for name, value in shown]


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
        step["of_before"] = (
            f"{share(left, funnel.ranked)} of the ranked" if last else f"{share(left, before)} of the stage before"
        )
        step["removed"] = _removed(stage.removed, funnel.listed)
        if stage.name in reported:
            value, whole, words = reported[stage.name]
            step["paper"] = _reported(
                value, paper, words if whole == paper.listed else f"{share(value, whole)} of {short(whole)} · {words}"
            )
        shown.append(step)
        before = stage.left
    end = _step("Dataset", "with the trusted, which skip the rank", funnel.kept, funnel.listed)
    end["of_before"] = f"{count(funnel.trusted)} of them trusted"
    end["paper"] = _reported(paper.total, paper, f"with {short(paper.trusted)} trusted of LSDIR")
    return [*shown, end]


def _removed(removed: Mapping[str, int], listed: int) -> list[str]:
    """Name the reasons of a stage, most frequent first; many rare ones are added up."""
    named, rest = list(removed.items())[:REASONS_NAMED], list(removed.values())[REASONS_NAMED:]
    words = [f"{name} {count(n)} ({share(n, listed)})" for name, n in named]
    return [*words, f"{plural(len(rest), 'other reason')} {count(sum(rest))}"] if rest else words


def _step(name: str, rule: str, left: int, listed: int) -> Shown:
    percent = f"{100 * left / max(1, listed):.2f}"
    words = {"left": count(left), "of_listed": share(left, listed), "of_before": "", "percent": percent}
    return {"name": name, "rule": rule, **words, "removed": [], "paper": None}


def _reported(value: int, paper: PaperFunnel, words: str) -> Shown:
    whole = "" if value == paper.listed else f" · {share(value, paper.listed)} of listed · "
    return {"left": short(value), "percent": f"{100 * value / paper.listed:.2f}", "words": f"{whole}{words}"}


def failures(tables: Tables, listed: int) -> list[list[str]]:
    """Give the reasons of rows without a picture, with a few origins of each."""
    found = tables.rows(
        "select reason, count(*) as n, min(origin, 3) as origins "
        f"from {VIEW} where verdict = 'failed' group by reason order by n desc, reason"
    )
    return [[row["reason"], count(row["n"]), share(row["n"], listed), ", ".join(row["origins"])] for row in found]


def paper_note(paper: PaperFunnel) -> str:
    """Say what the paper's funnel leaves open."""
    return (
        "The paper gives no numbers for decoding, equal bytes, size, benchmarks or near-duplicates. "
        f"Its {short(paper.trusted)} trusted pictures (LSDIR) come on top of the {short(paper.listed)} listed; "
        "trusted ones here are among the listed. "
        f"It prints the sum of {short(paper.ranked)} and {short(paper.trusted)} as {short(paper.total)}."
    )
