"""What the verb `dataset diff` does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from components.backends import differences, history
from components.backends.differences import Change, Compared, Example, ScoreChange
from components.backends.history import SHORT, Entry
from components.backends.storage import Storage
from components.backends.tables import Tables
from components.records import Record
from flows.layout import flat
from flows.workspace import Workspace

TELLING = {
    "blurred": "blur",
    "noisy": "blur",
    "flat": "flat_share",
    "quality_rank": "quality",
}
"""Reason -> the score that it is about."""


class SettingChange(Record):
    """A setting that differs; null where a side has none."""

    name: str
    old: object
    new: object


class Difference(Record):
    """What changed from one version or curation to another."""

    old: Entry
    new: Entry
    compared: Compared
    settings: tuple[SettingChange, ...]
    unknown_settings: tuple[str, ...] = ()
    """Stages whose settings differ and were not kept."""

    def text(self) -> str:
        """A page."""
        compared = self.compared
        lines = [f"{_named(self.old)} -> {_named(self.new)}", "", f"Rows: {compared.same} with the same name and content"]
        lines += [line for change in compared.rows for line in _changed(change)]
        turned = sum(change.rows for change in compared.verdicts)
        lines += ["", f"Verdicts: {turned or 'none'} changed among the rows that both have"]
        lines += [line for change in compared.verdicts for line in _changed(change)]
        if compared.sides:
            lines += ["", "Sides of the split", *(f"  {kind}: {count}" for kind, count in compared.sides.items())]
        scores = [line for change in compared.scores for line in _score(change)]
        lines += ["", "Scores" if scores else "Scores: none changed", *scores]
        return "\n".join([*lines, "", *self._settings()])

    def _settings(self) -> Iterable[str]:
        if not self.settings and not self.unknown_settings:
            yield "Settings: none changed"
            return
        yield "Settings"
        for change in self.settings:
            yield f"  {change.name}: {_value(change.old)} -> {_value(change.new)}"
        for stage in self.unknown_settings:
            yield f"  {stage}: they differ, and their values were not kept"


def diff(workspace: Workspace, old: str, new: str, *, examples: int) -> Difference:
    """Compare two versions or curations.

    Args:
        workspace: whose store is searched.
        old: beginning of a hash, or `latest`.
        new: the same.
        examples: rows to show for each kind of change.

    Raises:
        ManifestError: nothing has that name, or a manifest is gone.
    """
    store = workspace.store
    before, after = history.find(store, old), history.find(store, new)
    with Tables(store) as tables:
        compared = differences.compare(tables, before.manifest, after.manifest, examples=examples)
    pairs = [("ingest", before.version.manifest.settings, after.version.manifest.settings)]
    if before.decided and after.decided:
        pairs.append(("curate", before.manifest.settings, after.manifest.settings))
    settings: list[SettingChange] = []
    unknown: list[str] = []
    for stage, was, now in pairs:
        found = _settings(store, stage, was, now)
        settings += found
        if was != now and not found:
            unknown.append(stage)
    return Difference(old=before, new=after, compared=compared, settings=tuple(settings), unknown_settings=tuple(unknown))


def _settings(store: Storage, stage: str, old: str, new: str) -> list[SettingChange]:
    was, now = (flat(history.recall_settings(store, digest)) for digest in (old, new))
    if not was or not now:
        return []
    names = sorted(set(was) | set(now))
    return [
        SettingChange(name=f"{stage}.{name}", old=was.get(name), new=now.get(name))
        for name in names
        if was.get(name) != now.get(name)
    ]


def _named(entry: Entry) -> str:
    return f"{entry.version.name} {entry.manifest.sha256[:SHORT]} ({entry.manifest.rows} rows)"


def _changed(change: Change) -> Iterable[str]:
    yield f"  {change.kind}: {change.rows}"
    yield from (f"    {_example(example)}" for example in change.examples)
    if change.rows > len(change.examples) > 0:
        yield f"    … and {change.rows - len(change.examples)} more"


def _example(example: Example) -> str:
    """One row in words: its name, then what is telling about its verdicts."""
    name = example.new_origin or example.old_origin or ""
    if None not in (example.old_origin, example.new_origin) and example.old_origin != example.new_origin:
        name = f"{example.old_origin} is now {example.new_origin}"
    sides = (
        _why(example.old_outcome, example.old_related, example.old_scores),
        _why(example.new_outcome, example.new_related, example.new_scores),
    )
    return f"{name}: {' -> '.join(dict.fromkeys(side for side in sides if side))}"


def _why(outcome: str | None, related: str | None, scores: Mapping[str, float | None]) -> str:
    if outcome is None:
        return ""
    reason = outcome.partition(":")[2]
    score = TELLING.get(reason, "quality" if outcome == "kept" else "")
    value = scores.get(score)
    if value is not None:
        return f"{outcome} ({score} {value:.6g})"
    return f"{outcome} ({re.sub(r'[0-9a-f]{64}', _shortened, related)})" if related else outcome


def _shortened(found: re.Match[str]) -> str:
    return f"{found[0][:SHORT]}…"


def _score(change: ScoreChange) -> Iterable[str]:
    said = []
    if change.changed:
        said.append(f"{change.changed} changed, most of all {change.origin} by {change.largest:+.6g}")
    if change.gained:
        said.append(f"{change.gained} measured that were not before")
    if change.lost:
        said.append(f"{change.lost} no longer measured")
    if said:
        yield f"  {change.score}: {'; '.join(said)}"


def _value(value: object) -> str:
    return "-" if value is None else str(value)
