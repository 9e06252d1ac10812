"""Flow `evaluate-benchmark`: a model, or pictures of others, on a benchmark in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow
from prefect.artifacts import create_table_artifact

from components.errors import RegistryError, SettingsError
from components.evaluate.benchmarks.build import BuiltBenchmark, Plan
from components.records import BenchmarkReport
from flows import tasks
from flows.progress import progress
from flows.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from components.evaluate.benchmarks.contender import Model

FILE = "file:"


@flow(name="evaluate-benchmark")
def evaluate_benchmark(  # noqa: PLR0913 (a flow's parameters are named by Prefect)
    benchmark: str,
    model: str = "",
    *,
    outputs: str = "",
    label: str = "",
    steps: list[int] | None = None,
    against: str = "",
    profile: str = "tiny",
    overrides: list[str] | None = None,
    home: str = "",
) -> BenchmarkReport:
    """Measure a model on a benchmark, or pictures that something else made of it.

    Args:
        benchmark: a name of BENCHMARKS, `NAME=FOLDER`, or a folder of one's own.
        model: `run:ID`, `NAME@alias`, `NAME/version`, or `file:PATH` of an adapter or of a bundle with one.
        outputs: folder of pictures, in place of a model.
        label: what to call them; empty is the folder's name.
        steps: further numbers of sampling steps to measure.
        against: label or model to compare with, measured on this benchmark before; empty is the champion, where it was.
        profile: name of a profile.
        overrides: `key=value` settings.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
    """
    workspace = open_workspace(profile, overrides, home)
    if bool(model) == bool(outputs):
        raise SettingsError("Expected a model or --outputs FOLDER, one of the two. For example: lucidflux evaluate run:ID")
    report = tasks.run(
        tasks.measure_benchmark, workspace, benchmark, model, outputs=outputs, label=label, steps=steps or [], against=against
    )
    table = [cell.model_dump(mode="json") for cell in report.summaries]
    create_table_artifact(table, key="benchmark", description=f"{report.label} on {report.benchmark}")
    return report


def build(workspace: Workspace, plan: Plan, source: Path, out: Path | None) -> BuiltBenchmark:
    """Cut a benchmark from the user's copy; None puts it where `evaluate` looks for it."""
    from components.evaluate.benchmarks.build import build as run

    target = (out or benchmarks_folder(workspace) / plan.name).absolute()
    return run(plan, source, target, workers=workspace.profile.backend.workers, progress=progress.get())


def benchmarks_folder(workspace: Workspace) -> Path:
    """Where benchmarks lie, each under its name."""
    named = workspace.profile.benchmark.folder
    return Path(named).expanduser() if named else workspace.home / "benchmarks"


def open_model(workspace: Workspace, wanted: str, steps: list[int]) -> tuple[Model, str]:
    """A model by what people call it, and its MLflow run where it has one.

    Raises:
        RegistryError: there is no such run or version.
        WeightsError: there is no such file.
    """
    from components.evaluate.benchmarks.contender import Model
    from components.imaging.restorer import Restorer
    from components.restore.settings import RestoreSettings
    from flows.lineage import find_run
    from flows.tasks.release import find_model

    profile = workspace.profile
    label, run_id = wanted, ""
    if wanted.startswith(FILE):
        path = Path(wanted.removeprefix(FILE)).expanduser().absolute()
        if path.is_file():
            restorer = Restorer(profile.base_folder, path, profile.sampler)
        else:
            restorer = find_model(workspace, RestoreSettings(model=str(path)))[0].load()
        label = f"file {restorer.adapter_sha256[:12]}"
    elif "@" in wanted or "/" in wanted:
        found, label = find_model(workspace, RestoreSettings(model=wanted))
        restorer, run_id = found.load(), workspace.tracker.resolve(label).run_id
    else:
        run = find_run(workspace, wanted)
        restorer = Restorer(profile.base_folder, workspace.store.fetch(run.checkpoint), profile.sampler)
        label, run_id = f"run {run.run_id[:12]}", run.run_id
    asked = tuple(number for number in dict.fromkeys(steps) if number != restorer.sampler.steps)
    return Model(label, restorer, profile.benchmark.seed, asked), run_id


def other_report(workspace: Workspace, wanted: str, digest: str) -> BenchmarkReport | None:
    """What was measured before on the same pictures: of the asked one, else of the champion.

    Raises:
        RegistryError: the asked one was not measured on these pictures.
    """
    from components.backends.catalog import every
    from components.register.promote import champion_of

    known = [report for report, _ in every(workspace.store, BenchmarkReport) if report.digest == digest]
    if not wanted:
        profile = workspace.profile
        champion = champion_of(workspace.tracker, workspace.ledger, profile.registry.model, profile.promote.kind)
        label = f"{champion.name}/{champion.version}" if champion else ""
        return next((report for report in reversed(known) if report.label == label), None)
    names = {wanted}
    if "@" in wanted:
        version = workspace.tracker.resolve(wanted)
        names.add(f"{version.name}/{version.version}")
    found = next((report for report in reversed(known) if report.label in names), None)
    if found is None:
        labels = ", ".join(dict.fromkeys(report.label for report in known)) or "nothing yet"
        raise RegistryError(f"'{wanted}' was not measured on these pictures; measured were: {labels}. Evaluate it first.")
    return found


@contextmanager
def run_for(workspace: Workspace, report: BenchmarkReport, run_id: str) -> Iterator[str]:
    """The MLflow run that keeps a report: the model's, else one of its own."""
    if run_id:
        yield run_id
        return
    name = f"{report.label} on {report.benchmark}"
    own = workspace.tracker.start_run(
        report.name,
        name=name,
        settings={"benchmark": report.benchmark, "digest": report.digest},
        tags={"lucidflux.label": report.label},
    )
    yield own
    workspace.tracker.end_run(own)
