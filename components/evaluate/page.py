"""The report page of one evaluation: funnel, expectations, loss, scores, pictures."""

from __future__ import annotations

from collections.abc import Sequence

from components.backends.report import Page, Slider, Table, render
from components.evaluate.restore_pairs import METHODS
from components.imaging import iqa
from components.records import MetricSummary, Paired, TrainRun

NAMES = {"lq": "LQ (input)", "bilateral": "bilateral filter", "lrp": "LRP (light restorer)", "restored": "restored"}


def report_page(
    run: TrainRun,
    summaries: Sequence[MetricSummary],
    paired: Sequence[Paired],
    *,
    sheet: bytes,
    sliders: Sequence[Slider],
    curve: Sequence[tuple[float, float]],
) -> str:
    """Give the page as one HTML text.

    Args:
        run: what was evaluated.
        summaries: means over the held-out pictures.
        paired: against the champion; empty where there is none.
        sheet: PNG of the contact sheet.
        sliders: pictures to compare by hand.
        curve: (step, loss) of the training.
    """
    benchmarks = list(dict.fromkeys(cell.benchmark for cell in summaries))
    return render(
        Page(
            title="LucidFlux: held-out evaluation",
            lead="Photos of scenes that were never trained on, degraded by frozen presets, beside a plain filter and the light "
            "restorer alone. The pictures below are the first by id, not the best.",
            facts=_facts(run),
            tables=[
                _funnel(run),
                _expectations(run),
                *(_scores(summaries, name) for name in benchmarks),
                *([against_table(paired, "the champion")] if paired else []),
            ],
            curve=curve,
            sheet=sheet,
            sliders=sliders,
        )
    )


def _facts(run: TrainRun) -> dict[str, str]:
    return {
        "Dataset version": run.pairs.curation.dataset.dvc_md5,
        "Curated manifest": run.pairs.curation.manifest.sha256,
        "Pairs": f"{run.pairs.manifest.rows} ({run.pairs.manifest.sha256})",
        "Training run": f"{run.run_id}, {run.step} steps",
        "Loss": f"{run.loss_first:.4f} -> {run.loss_last:.4f} (means of the first and the last tenth of the steps)",
        "Checkpoint": run.checkpoint_sha256,
    }


def _funnel(run: TrainRun) -> Table:
    funnel = run.pairs.curation.funnel
    rows = [[name, str(count)] for name, count in funnel.items()]
    return Table(f"Curation of {sum(funnel.values())} pictures", ["verdict: reason", "pictures"], rows)


def _expectations(run: TrainRun) -> Table:
    rows = [
        [suite.suite, str(suite.evaluated), "passed" if suite.passed else "; ".join(suite.failed)] for suite in run.pairs.checked
    ]
    return Table("Expectations", ["suite", "evaluated", "outcome"], rows)


def _scores(summaries: Sequence[MetricSummary], benchmark: str) -> Table:
    """Methods as rows, metrics as columns; the best of each column is stressed."""
    cells = {(cell.method, cell.metric): cell for cell in summaries if cell.benchmark == benchmark}
    metrics = list(dict.fromkeys(metric for _, metric in cells))
    rows, best = [], set()
    for y, method in enumerate(METHODS):
        means = [_cell(cells.get((method, metric))) for metric in metrics]
        rows.append([NAMES[method], *means])
        best |= {(y, x + 1) for x, metric in enumerate(metrics) if _is_best(cells, method, metric)}
    header = ["method", *(f"{metric} {'↑' if iqa.info(metric).higher_is_better else '↓'}" for metric in metrics)]
    counts = sorted({cell.n for cell in cells.values()})
    note = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}: a score that is no number is left out"
    return Table(
        f"Benchmark {benchmark}", header, rows, frozenset(best), f"{note}. Small n: differences in the last digits are noise."
    )


def _cell(cell: MetricSummary | None) -> str:
    if cell is None:
        return "-"
    if cell.interval is None:
        return f"{cell.mean:.3f}"
    return f"{cell.mean:.3f} [{cell.interval[0]:.3f}, {cell.interval[1]:.3f}]"


def against_table(paired: Sequence[Paired], other: str) -> Table:
    """This model beside another, a line for each benchmark and metric; what its interval shows is stressed."""
    rows = []
    for one in paired:
        low, high = one.interval
        counts = f"{one.wins} / {one.ties} / {one.losses}"
        rows.append(
            [f"{one.benchmark} {one.metric}", f"{one.mean:+.4g}", f"{low:+.4g} .. {high:+.4g}", counts, f"{one.p_holm:.2g}"]
        )
    shows = frozenset((y, 2) for y, one in enumerate(paired) if one.interval[0] > 0 or one.interval[1] < 0)
    note = (
        f"n = {max(one.n for one in paired)} pictures; positive is better whatever the metric's direction. Intervals: 95 %, "
        "bootstrap over pictures. p: Wilcoxon's signed ranks, corrected by Holm over all lines."
    )
    return Table(f"Against {other}", ["", "difference", "95 % interval", "better / equal / worse", "p"], rows, shows, note)


def _is_best(cells: dict[tuple[str, str], MetricSummary], method: str, metric: str) -> bool:
    if (method, metric) not in cells:
        return False
    means = [cell.mean for (_, name), cell in cells.items() if name == metric]
    mean = cells[method, metric].mean
    return mean == (max(means) if cells[method, metric].higher_is_better else min(means))
