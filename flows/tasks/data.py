"""Tasks from sources to pairs."""

from __future__ import annotations

from typing import Any

from prefect import task

from components.records import Curation, DatasetVersion, Manifest, PairSet
from flows.progress import progress
from flows.tasks.caching import KEEP, RETRY, key
from flows.workspace import Workspace, git_revision


@task(
    name="ingest-images",
    cache_key_fn=key("ingest", lambda p: p["fingerprint"], lambda p: p["workspace"].profile.ingest),
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
    cache_key_fn=key(
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
    cache_key_fn=key(
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
    cache_key_fn=key("version-curation", lambda p: p["curation"].manifest.sha256, lambda p: p["workspace"].remote),
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
    cache_key_fn=key(
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
    cache_key_fn=key(
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
    cache_key_fn=key("draw-pairs", lambda p: p["pairs"].manifest.sha256, lambda p: p["workspace"].profile.synthesize),
    **KEEP,
    **RETRY,
)
def draw_pairs(workspace: Workspace, pairs: PairSet) -> PairSet:
    """Pairs -> the same, with some of them measured and the page that shows them."""
    from components.backends import catalog
    from components.synthesize.picture import show

    made = show(pairs, workspace.profile.synthesize, store=workspace.store, docs=workspace.docs, progress=progress.get())
    return catalog.save(workspace.store, made)
