"""The task that measures a benchmark: resumed by its own files and known scores, never found in Prefect's cache."""

from __future__ import annotations

from pathlib import Path

from prefect import task

from components.records import BenchmarkReport
from flows.progress import progress
from flows.tasks.caching import RETRY
from flows.workspace import Workspace


@task(name="measure-benchmark", **RETRY)
def measure_benchmark(
    workspace: Workspace, benchmark: str, model: str, *, outputs: str, label: str, steps: list[int], against: str
) -> BenchmarkReport:
    """Benchmark and model or pictures -> scores, page, artifacts of an MLflow run."""
    from components.backends import catalog
    from components.evaluate.benchmarks.contender import Outputs
    from components.evaluate.benchmarks.layout import open_benchmark
    from components.evaluate.benchmarks.run import digest_of, evaluate_benchmark
    from flows import measure

    profile, store = workspace.profile, workspace.store
    opened = open_benchmark(benchmark, measure.benchmarks_folder(workspace))
    found = measure.open_model(workspace, model, steps) if model else (Outputs.of(Path(outputs).expanduser(), label), "")
    contender, run_id = found
    other = measure.other_report(workspace, against, digest_of(opened, profile.benchmark))
    report = evaluate_benchmark(
        opened,
        contender,
        profile.benchmark,
        store=store,
        home=workspace.home,
        weights=workspace.weights_folder,
        workers=profile.backend.workers,
        against=other if other and other.identity != contender.identity else None,
        progress=progress.get(),
    )
    with measure.run_for(workspace, report, run_id) as kept:
        workspace.tracker.log_artifact(kept, store.fetch(report.html), f"benchmarks/{report.benchmark}")
        means = {f"{report.benchmark}.{_plain(cell.method)}.{_plain(cell.metric)}": cell.mean for cell in report.summaries}
        workspace.tracker.log_metrics(kept, 0, means)
    return catalog.save(store, report)


def _plain(name: str) -> str:
    """A name that MLflow takes."""
    return "".join(one if one.isalnum() or one in "._-/ " else "-" for one in name.replace("+", "-plus"))
