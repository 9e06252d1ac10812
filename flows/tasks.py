"""The one place where components become Prefect tasks: names, retries, time limits, cache keys.

A task's key is the content of its inputs, the settings it reads and the operator's version, so that an
unchanged stage is found again and a changed one is not. Components are imported when a task runs: flows
stay quick to import.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from prefect import Task, task
from prefect.context import TaskRunContext
from prefect.logging import get_run_logger

from components.errors import LucidfluxError, WeightsError
from components.records import (
    Curation,
    DatasetVersion,
    EvalReport,
    Manifest,
    ModelVersion,
    PairSet,
    Restoration,
    TrainRun,
    content_hash,
)
from flows.progress import progress, reused
from flows.workspace import Workspace, git_revision

if TYPE_CHECKING:
    from components.imaging.restorer import Restorer

Key = Callable[[TaskRunContext, dict[str, Any]], str]
R = TypeVar("R")


def _key(stage: str, *parts: Callable[[dict[str, Any]], object]) -> Key:
    """Cache key from the stage, the object store and the named parts of the parameters."""

    def key(_: TaskRunContext, parameters: dict[str, Any]) -> str:
        objects = parameters["workspace"].objects
        return f"{stage}-{content_hash(stage, objects, *(part(parameters) for part in parts))}"

    return key


def run(stage: Task[..., R], workspace: Workspace, *inputs: object, **options: object) -> R:
    """Run a task; say when its result was found, and make it again when the objects behind it are gone."""
    state: Any = stage(workspace, *inputs, **options, return_state=True)
    result: R = state.result()
    if state.name == "Cached":
        if not _intact(workspace, result):
            get_run_logger().warning("%s: the objects of the earlier result are gone; running again", stage.name)
            again: R = stage.with_options(refresh_cache=True)(workspace, *inputs, **options)
            return again
        if (names := reused.get()) is not None:
            names.append(stage.name)
    return result


def _intact(workspace: Workspace, result: object) -> bool:
    keys = [getattr(result, name) for name in ("uri", "checkpoint", "html", "sheet", "picture") if getattr(result, name, "")]
    keys += [inner.uri for inner in (getattr(result, "manifest", None), getattr(result, "scores", None)) if inner is not None]
    store = workspace.store
    return all(store.exists(key) for key in keys)


def _transient(_: object, __: object, state: Any) -> bool:
    """Retry what may pass by itself; what a person has to mend is not tried twice."""
    error = state.result(raise_on_failure=False)
    return not isinstance(error, LucidfluxError)


RETRY: dict[str, Any] = {"retries": 2, "retry_delay_seconds": [5, 30], "retry_condition_fn": _transient}
KEEP: dict[str, Any] = {"persist_result": True, "result_serializer": "json"}


@task(
    name="ingest-images",
    cache_key_fn=_key("ingest", lambda p: p["fingerprint"], lambda p: p["workspace"].profile.ingest),
    **KEEP,
    **RETRY,
)
def ingest_images(workspace: Workspace, sources: list[str], fingerprint: str, total: int) -> Manifest:
    """Sources -> shards and image manifest."""
    from components.ingest.run import ingest

    del fingerprint  # it is the cache key
    backend = workspace.profile.backend
    return ingest(
        sources,
        workspace.profile.ingest,
        objects=workspace.objects,
        workers=backend.workers,
        engine=backend.engine,
        total=total,
        progress=progress.get(),
    )


@task(
    name="version-dataset",
    cache_key_fn=_key(
        "version", lambda p: p["manifest"].sha256, lambda p: [p["name"], p["total"]], lambda p: p["workspace"].remote
    ),
    **KEEP,
    **RETRY,
)
def version_dataset(workspace: Workspace, name: str, manifest: Manifest, total: int) -> DatasetVersion:
    """Image manifest of `total` listed pictures -> checked dataset version in DVC."""
    from components.backends import catalog, contracts, versioning
    from components.backends.tables import Tables

    settings = workspace.profile.ingest
    with Tables(workspace.store) as tables:
        tables.manifest("images", manifest)
        checked = contracts.check(
            "ingest",
            tables,
            "images",
            parameters={"rows": total, **settings.bands},
            overrides=settings.overrides,
            docs=workspace.docs,
        )
    version = versioning.make_version(
        name,
        workspace.store,
        manifest,
        workspace=workspace.home / "dvc",
        remote=workspace.remote,
        expectations=contracts.require(checked),
        git_revision=git_revision(),
    )
    return catalog.save(workspace.store, version)


@task(
    name="curate-images",
    cache_key_fn=_key(
        "curate",
        lambda p: p["dataset"].manifest.sha256,
        lambda p: p["workspace"].profile.curate,
        lambda p: benchmarks(p["workspace"]),
    ),
    **KEEP,
    **RETRY,
)
def curate_images(workspace: Workspace, dataset: DatasetVersion) -> Curation:
    """Dataset version -> a verdict for every row."""
    from components.backends import catalog, history, succession
    from components.curate.run import Means, curate

    backend, store = workspace.profile.backend, workspace.store
    known = succession.history(store, dataset.name)
    before = catalog.find(store, Curation, known[-1]).manifest if known else None
    means = Means(
        objects=workspace.objects,
        workers=backend.workers,
        engine=backend.engine,
        weights=workspace.weights_folder,
        reference=before,
        reference_metric=history.recall_settings(store, before.settings).get("quality_metric", "") if before else "",
        docs=workspace.docs,
        progress=progress.get(),
    )
    made = curate(dataset, workspace.profile.curate, means)
    succession.append(store, dataset.name, made.manifest.sha256)
    return catalog.save(store, made)


@task(
    name="version-curation",
    cache_key_fn=_key("version-curation", lambda p: p["curation"].manifest.sha256, lambda p: p["workspace"].remote),
    **KEEP,
    **RETRY,
)
def version_curation(workspace: Workspace, curation: Curation) -> DatasetVersion:
    """Curation -> dataset version in DVC that holds the verdicts beside the pictures."""
    from components.backends import catalog, versioning

    version = versioning.add_curated(
        curation.dataset,
        workspace.store,
        curation.manifest,
        workspace=workspace.home / "dvc",
        remote=workspace.remote,
        git_revision=git_revision(),
    )
    return catalog.save(workspace.store, version)


@task(
    name="draw-dataset",
    cache_key_fn=_key(
        "draw", lambda p: p["curation"].manifest.sha256, lambda p: p["workspace"].profile.curate, lambda p: p["compared"]
    ),
    **KEEP,
    **RETRY,
)
def draw_dataset(workspace: Workspace, curation: Curation, compared: list[str]) -> Curation:
    """Curation -> the same, with the page that shows it."""
    from components.backends import catalog
    from components.curate.picture import make_picture
    from flows.pictures import subject_of

    key = make_picture(subject_of(workspace, curation, compared), store=workspace.store, progress=progress.get())
    return catalog.save(workspace.store, curation.model_copy(update={"picture": key}))


def benchmarks(workspace: Workspace) -> list[dict[str, Any]]:
    """The benchmarks that are registered now; a new one asks for a new curation."""
    from components.curate.registered import registered

    return [record.model_dump(mode="json") for record in registered(workspace.store)]


@task(
    name="synthesize-pairs",
    cache_key_fn=_key(
        "synthesize",
        lambda p: p["curation"].manifest.sha256,
        lambda p: p["workspace"].profile.synthesize,
        lambda p: benchmarks(p["workspace"]),
    ),
    **KEEP,
    **RETRY,
)
def synthesize_pairs(workspace: Workspace, curation: Curation) -> PairSet:
    """Kept training pictures -> seeded pairs."""
    from components.backends import catalog
    from components.curate.registered import registered
    from components.synthesize.run import Means, synthesize

    backend = workspace.profile.backend
    means = Means(
        objects=workspace.objects,
        workers=backend.workers,
        engine=backend.engine,
        benchmarks={one.name: one.images for one in registered(workspace.store)},
        docs=workspace.docs,
        progress=progress.get(),
    )
    return catalog.save(workspace.store, synthesize(curation, workspace.profile.synthesize, means))


@task(
    name="draw-pairs",
    cache_key_fn=_key("draw-pairs", lambda p: p["pairs"].manifest.sha256, lambda p: p["workspace"].profile.synthesize),
    **KEEP,
    **RETRY,
)
def draw_pairs(workspace: Workspace, pairs: PairSet) -> PairSet:
    """Pairs -> the same, with some of them measured and the page that shows them."""
    from components.backends import catalog
    from components.synthesize.picture import show

    made = show(pairs, workspace.profile.synthesize, store=workspace.store, docs=workspace.docs, progress=progress.get())
    return catalog.save(workspace.store, made)


@task(
    name="train-adapter",
    cache_key_fn=_key(
        "train",
        lambda p: p["pairs"].manifest.sha256,
        lambda p: p["workspace"].profile.train,
        lambda p: p["workspace"].base_hashes,
        lambda p: p["workspace"].profile.sampler if p["workspace"].profile.train.judged else None,
    ),
    **KEEP,  # resumed by its checkpoints, never retried
)
def train_adapter(workspace: Workspace, pairs: PairSet) -> TrainRun:
    """Pairs -> adapter and MLflow run."""
    from components.backends import catalog
    from components.train.job import Validation
    from components.train.run import train
    from flows.tracked import tracked_training

    profile, curated = workspace.profile, pairs.curation.manifest
    validation = Validation(held_out=curated, sampler=profile.sampler, weights=str(workspace.weights_folder))
    with tracked_training(workspace, pairs) as (run_id, on_event):
        outcome = train(
            workspace.store,
            pairs.manifest,
            profile.train,
            base=profile.base_folder,
            work=workspace.home / "work",
            validation=validation,
            on_event=on_event,
            progress=progress.get(),
        )
    made = TrainRun(
        run_id=run_id,
        checkpoint=outcome.checkpoint,
        checkpoint_sha256=outcome.sha256,
        step=outcome.step,
        pairs=pairs,
        settings=content_hash(profile),
        base=outcome.base,
        loss_first=outcome.loss_first,
        loss_last=outcome.loss_last,
        notes=outcome.notes,
    )
    return catalog.save(workspace.store, made)


def _champion(parameters: dict[str, Any]) -> str:
    """Whom a run is compared with."""
    from flows.lineage import champion_report

    report = champion_report(parameters["workspace"], parameters["run"])
    return report.checkpoint_sha256 if report else ""


@task(
    name="evaluate-adapter",
    cache_key_fn=_key(
        "evaluate",
        lambda p: p["run"].checkpoint_sha256,
        lambda p: (p["on"] or p["run"].pairs.curation).manifest.sha256,
        lambda p: p["workspace"].profile.evaluate,
        lambda p: p["workspace"].profile.sampler,
        _champion,
    ),
    **KEEP,
    **RETRY,
)
def evaluate_adapter(workspace: Workspace, run: TrainRun, on: Curation | None = None) -> EvalReport:
    """Adapter -> scores, page and sheet, also as artifacts of its MLflow run.

    `on` is whose held-out pictures are taken; None takes those of the run's own curation.
    """
    from components.backends import catalog
    from components.evaluate.run import evaluate
    from flows.lineage import champion_report

    profile, store = workspace.profile, workspace.store
    report = evaluate(
        run,
        profile.evaluate,
        on=on or run.pairs.curation,
        store=store,
        base=profile.base_folder,
        sampler=profile.sampler,
        work=workspace.home / "work",
        champion=champion_report(workspace, run),
        curve=workspace.tracker.history(run.run_id, "loss"),
        progress=progress.get(),
    )
    for key in (report.html, report.sheet):
        workspace.tracker.log_artifact(run.run_id, store.fetch(key), "evaluation")
    means = {f"{cell.benchmark}.{cell.method}.{cell.metric}": cell.mean for cell in report.summaries}
    workspace.tracker.log_metrics(run.run_id, run.step, means)
    return catalog.save(store, report)


@task(name="register-model", **RETRY)
def register_model(workspace: Workspace, run: TrainRun, report: EvalReport) -> ModelVersion:
    """Evaluated run -> model version; the same run and report give the same version."""
    from components.backends import catalog
    from components.register.register import register_run

    profile = workspace.profile
    version = register_run(
        workspace.tracker,
        run,
        report,
        profile.registry,
        base=profile.base_folder,
        store=workspace.store,
        git_revision=git_revision(),
    )
    return catalog.save(workspace.store, version)


@task(name="promote-version", retries=0)
def promote_version(workspace: Workspace, name: str, who: str, overrides: dict[str, str]) -> ModelVersion:
    """Gates -> aliases and ledger entry; a refusal is an answer and is not retried."""
    from components.register.gates import judge
    from components.register.promote import promote
    from flows.lineage import candidate

    settings = workspace.profile.promote
    version = workspace.tracker.resolve(name)
    return promote(
        workspace.tracker,
        workspace.ledger,
        version,
        lambda champion: judge(candidate(workspace, version, champion), overrides),
        who=who,
        kind=settings.kind,
        serves=settings.serves,
    )


@task(name="rollback-champion", retries=0)
def rollback_champion(workspace: Workspace, reason: str, who: str) -> ModelVersion:
    """Alias -> the champion before."""
    from components.register.promote import rollback

    name, settings = workspace.profile.registry.model, workspace.profile.promote
    return rollback(workspace.tracker, workspace.ledger, name, who=who, reason=reason, kind=settings.kind, serves=settings.serves)


@task(name="restore-pictures", **RETRY)
def restore_pictures(workspace: Workspace, inputs: list[str], output: Path, *, force: bool) -> Restoration:
    """Files -> restored files and the manifest of what became of each; finished ones are found again."""
    from components.restore.inputs import find_inputs
    from components.restore.run import Batch, restore

    found = find_inputs(inputs)
    restorer, model = _restorer(workspace)
    batch = Batch(restorer=restorer, model=model, settings=workspace.profile.restore, output=output, force=force)
    return restore(found, batch, objects=workspace.store, progress=progress.get())


def _restorer(workspace: Workspace) -> tuple[Restorer, str]:
    """The model that `restore.model` names, from the registry or a folder, and its name without the folder's place."""
    from components.imaging.restorer import Restorer
    from components.register.lineage import fetch_parts
    from components.register.names import ADAPTER

    settings = workspace.profile.restore
    wanted, own = settings.model, settings.model_dump(include={"fidelity", "mode", "memory"}, exclude_none=True)
    folder = Path(wanted).expanduser()
    if not folder.is_dir() and not wanted.startswith((".", "/", "~")):
        version = workspace.tracker.resolve(wanted)
        parts = fetch_parts(workspace.tracker, version, workspace.home / "cache" / "models")
        return Restorer(parts.base, parts.adapter, parts.sampler.model_copy(update=own)), f"{version.name}/{version.version}"
    if not (folder / ADAPTER).is_file():
        diffusers = (folder / "model_index.json").is_file()
        hint = " It is a diffusers folder: make a bundle of it with lucidflux convert." if diffusers else ""
        raise WeightsError(f"Expected a bundle with {ADAPTER} in the folder {folder}, found none.{hint}")
    restorer = Restorer(folder, folder / ADAPTER, workspace.profile.sampler.model_copy(update=own))
    return restorer, f"{folder.resolve().name}/{restorer.identity[:12]}"
