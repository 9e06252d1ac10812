"""The one place where components become Prefect tasks: names, retries, time limits, cache keys.

A task's key is the content of its inputs, the settings it reads and the operator's version, so that an
unchanged stage is found again and a changed one is not. Components are imported when a task runs: flows
stay quick to import.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from prefect import Task, task
from prefect.context import TaskRunContext
from prefect.logging import get_run_logger

from components.errors import LucidfluxError
from components.records import (
    Curation,
    DatasetVersion,
    Manifest,
    PairSet,
    content_hash,
)
from flows.progress import progress, reused
from flows.workspace import Workspace, git_revision

Key = Callable[[TaskRunContext, dict[str, Any]], str]
R = TypeVar("R")


def _key(stage: str, *parts: Callable[[dict[str, Any]], object]) -> Key:
    """Cache key from the stage, the object store and the named parts of the parameters."""

    def key(_: TaskRunContext, parameters: dict[str, Any]) -> str:
        objects = parameters["workspace"].objects
        return f"{stage}-{content_hash(stage, objects, *(part(parameters) for part in parts))}"

    return key


def run(stage: Task[..., R], workspace: Workspace, *inputs: object) -> R:
    """Run a task; say when its result was found, and make it again when the objects behind it are gone."""
    state = stage(workspace, *inputs, return_state=True)
    result: R = state.result()
    if state.name == "Cached":
        if not _intact(workspace, result):
            get_run_logger().warning("%s: the objects of the earlier result are gone; running again", stage.name)
            return stage.with_options(refresh_cache=True)(workspace, *inputs)
        if (names := reused.get()) is not None:
            names.append(stage.name)
    return result


def _intact(workspace: Workspace, result: object) -> bool:
    keys = [getattr(result, name) for name in ("uri", "checkpoint", "html", "sheet") if hasattr(result, name)]
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
def ingest_images(workspace: Workspace, sources: list[str], fingerprint: str) -> Manifest:
    """Sources -> shards and image manifest."""
    from components.ingest.run import ingest

    del fingerprint  # it is the cache key
    profile = workspace.profile
    return ingest(sources, profile.ingest, objects=workspace.objects, workers=profile.backend.workers, progress=progress.get())


@task(
    name="version-dataset",
    cache_key_fn=_key("version", lambda p: p["manifest"].sha256, lambda p: p["name"], lambda p: p["workspace"].remote),
    **KEEP,
    **RETRY,
)
def version_dataset(workspace: Workspace, name: str, manifest: Manifest) -> DatasetVersion:
    """Image manifest -> checked dataset version in DVC."""
    from components.backends import catalog, contracts, versioning
    from components.backends import manifest as manifests

    rows = manifests.rows(workspace.store, manifest)
    checked = contracts.check("ingest", rows, parameters={"rows": manifest.rows})
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
    cache_key_fn=_key("curate", lambda p: p["dataset"].manifest.sha256, lambda p: p["workspace"].profile.curate),
    **KEEP,
    **RETRY,
)
def curate_images(workspace: Workspace, dataset: DatasetVersion) -> Curation:
    """Dataset version -> a verdict for every row."""
    from components.backends import catalog
    from components.curate.run import curate

    profile = workspace.profile
    made = curate(dataset, profile.curate, objects=workspace.objects, workers=profile.backend.workers, progress=progress.get())
    return catalog.save(workspace.store, made)


@task(
    name="synthesize-pairs",
    cache_key_fn=_key("synthesize", lambda p: p["curation"].manifest.sha256, lambda p: p["workspace"].profile.synthesize),
    **KEEP,
    **RETRY,
)
def synthesize_pairs(workspace: Workspace, curation: Curation) -> PairSet:
    """Kept training pictures -> seeded pairs."""
    from components.backends import catalog
    from components.synthesize.run import synthesize

    made = synthesize(curation, workspace.profile.synthesize, objects=workspace.objects, progress=progress.get())
    return catalog.save(workspace.store, made)
