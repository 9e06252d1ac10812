"""Ablation: what each part of the method adds, over seeds, with intervals (paper section 4.3, table 4).

Arms are ordered; each is compared with the one above it. Two runs of one seed see the same pairs, noise and times, so that
differences are taken seed by seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from components.backends.report import Page, Table, render
from components.errors import SettingsError, lookup
from components.imaging import iqa
from components.records import EvalReport, Record, content_hash

LEVEL = 0.95
METHOD = "restored"
Data = Literal["uncurated", "curated"]

PUBLISHED = Table(
    "Published by the paper on RealLQ250 (table 4); not measured here",
    ["setting", "CLIP-IQA ↑", "CLIP-IQA+ ↑", "MUSIQ ↑"],
    [
        ["Dual-Branch Conditioner only", "0.585", "0.609", "61.582"],
        ["+ SigLIP alignment", "0.600", "0.620", "62.000"],
        ["+ TLCM", "0.622", "0.635", "65.500"],
        ["+ large HQ data", "0.7122", "0.7406", "73.0088"],
    ],
)


@dataclass(frozen=True)
class Arm:
    """One way to train."""

    changes: Mapping[str, str]
    """Settings, as `--set` takes them."""
    data: Data = "uncurated"


ARMS: Mapping[str, Arm] = {
    "dual branch": Arm({"train.semantic": "false", "train.modulation": "none"}),
    "+ semantic tokens": Arm({"train.semantic": "true", "train.modulation": "none"}),
    "+ modulation by time": Arm({"train.semantic": "true", "train.modulation": "time"}),
    "+ modulation by layer": Arm({"train.semantic": "true", "train.modulation": "layer"}),
    "+ modulation by both": Arm({"train.semantic": "true", "train.modulation": "both"}),
    "+ curated data": Arm({"train.semantic": "true", "train.modulation": "both"}, "curated"),
}
"""In the order of the paper's table, with its third row taken apart."""


class Estimate(Record):
    """A mean over seeds with its interval; None where there are too few seeds for one."""

    mean: float
    interval: tuple[float, float] | None


class Cell(Record):
    """One metric of one arm under one benchmark."""

    benchmark: str
    metric: str
    higher_is_better: bool
    images: int
    value: Estimate
    gain: Estimate | None
    """Difference to the arm above, positive is better; None for the first."""


class ArmResult(Record):
    """What became of one arm."""

    name: str
    data: Data
    changes: dict[str, str]
    checkpoints: tuple[str, ...]
    """sha256 of the adapter of each seed."""
    cells: tuple[Cell, ...]


class Ablation(Record):
    """All arms over all seeds, on the same held-out pictures."""

    dataset: str
    """Hash of the dataset version."""
    seeds: tuple[int, ...]
    arms: tuple[ArmResult, ...]
    html: str = ""
    """Key of the page."""

    def text(self) -> str:
        """A line for each arm and metric."""
        lines = []
        for arm in self.arms:
            lines.append(arm.name)
            for cell in arm.cells:
                gain = f", gain {_written(cell.gain)}" if cell.gain else ""
                lines.append(f"  {cell.benchmark} {cell.metric}: {_written(cell.value)}{gain}")
        return "\n".join(lines)


def chosen(names: Sequence[str]) -> dict[str, Arm]:
    """Take arms by name, in the order of ARMS; all for none.

    Raises:
        UnknownName: there is no such arm.
    """
    for name in names:
        lookup(ARMS, name, kind="arm")
    return {name: arm for name, arm in ARMS.items() if not names or name in names}


def compare(dataset: str, seeds: Sequence[int], reports: Mapping[str, Sequence[EvalReport]]) -> Ablation:
    """Put the reports of every arm together.

    Args:
        dataset: hash of the dataset version.
        seeds: of the runs.
        reports: per arm, in order, one for each seed.

    Raises:
        SettingsError: reports were made over other pictures, benchmarks or metrics.
    """
    arms, above = [], None
    for name, listed in reports.items():
        values = _values(listed)
        if above is not None and values.keys() != above.keys():
            raise SettingsError(f"Expected '{name}' to be scored as the arm above it: the benchmarks or metrics differ.")
        arms.append(
            ArmResult(
                name=name,
                data=ARMS[name].data,
                changes=dict(ARMS[name].changes),
                checkpoints=tuple(report.checkpoint_sha256 for report in listed),
                cells=tuple(_cell(key, values[key], None if above is None else above[key], listed[0]) for key in values),
            )
        )
        above = values
    return Ablation(dataset=dataset, seeds=tuple(seeds), arms=tuple(arms))


def page(ablation: Ablation) -> str:
    """Give the page: a table for each benchmark, and the published one beside it."""
    benchmarks = dict.fromkeys(cell.benchmark for arm in ablation.arms for cell in arm.cells)
    return render(
        Page(
            title="Ablation",
            lead=f"What each part adds, {len(ablation.arms)} arms over {len(ablation.seeds)} seeds, on the same held-out "
            "pictures. Differences are to the row above, seed by seed; an interval that holds 0 shows nothing.",
            facts={"Dataset version": ablation.dataset, "Seeds": ", ".join(map(str, ablation.seeds))},
            tables=[*(_table(ablation, name) for name in benchmarks), _changes(ablation), PUBLISHED],
        )
    )


def key_of(ablation: Ablation) -> str:
    """Where its page goes."""
    return f"ablations/{content_hash(ablation)[:16]}/report.html"


Key = tuple[str, str]


def _values(reports: Sequence[EvalReport]) -> dict[Key, list[float]]:
    """Mean of every benchmark and metric for each seed."""
    found: dict[Key, list[float]] = {}
    for report in reports:
        for cell in report.summaries:
            if cell.method == METHOD:
                found.setdefault((cell.benchmark, cell.metric), []).append(cell.mean)
    return found


def _cell(key: Key, values: Sequence[float], above: Sequence[float] | None, report: EvalReport) -> Cell:
    benchmark, metric = key
    summary = next(cell for cell in report.summaries if (cell.benchmark, cell.method, cell.metric) == (benchmark, METHOD, metric))
    sign = 1 if summary.higher_is_better else -1
    gains = None if above is None else [sign * (value - other) for value, other in zip(values, above, strict=True)]
    return Cell(
        benchmark=benchmark,
        metric=metric,
        higher_is_better=summary.higher_is_better,
        images=summary.n,
        value=estimate(values),
        gain=None if gains is None else estimate(gains),
    )


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and Student's interval of independent values."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return Estimate(mean=mean, interval=None)
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
    return Estimate(mean=mean, interval=(mean - half, mean + half))


def _written(value: Estimate) -> str:
    if value.interval is None:
        return f"{value.mean:.3f}"
    return f"{value.mean:.3f} ± {(value.interval[1] - value.interval[0]) / 2:.3f}"


def _table(ablation: Ablation, benchmark: str) -> Table:
    metrics = dict.fromkeys(cell.metric for arm in ablation.arms for cell in arm.cells)
    rows = []
    for arm in ablation.arms:
        cells = {cell.metric: cell for cell in arm.cells if cell.benchmark == benchmark}
        shown = ((_written(cells[name].value), _gain(cells[name].gain)) for name in metrics)
        rows.append([arm.name, arm.data, *(text for pair in shown for text in pair)])
    header = ["arm", "data"]
    for name in metrics:
        header += [f"{name} {'↑' if iqa.info(name).higher_is_better else '↓'}", "gain"]
    images = max(cell.images for arm in ablation.arms for cell in arm.cells if cell.benchmark == benchmark)
    note = f"n = {images} pictures, {len(ablation.seeds)} seeds; ± is Student's 95 % interval over the seeds."
    return Table(f"Benchmark {benchmark}", header, rows, note=note)


def _gain(gain: Estimate | None) -> str:
    if gain is None:
        return "-"
    shows = gain.interval is not None and (gain.interval[0] > 0 or gain.interval[1] < 0)
    return f"{gain.mean:+.3f}{' *' if shows else ''}"


def _changes(ablation: Ablation) -> Table:
    rows = [[arm.name, arm.data, ", ".join(f"{key} = {value}" for key, value in arm.changes.items())] for arm in ablation.arms]
    return Table("What is trained", ["arm", "data", "settings"], rows, note="* the interval of the gain does not hold 0.")
