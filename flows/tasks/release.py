"""Tasks from an adapter to restored pictures: registration, promotion, restoring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task

from components.errors import WeightsError
from components.records import EvalReport, ModelVersion, Progress, Restoration, TrainRun
from flows.progress import progress
from flows.tasks.caching import RETRY
from flows.workspace import Workspace, git_revision

if TYPE_CHECKING:
    from components.imaging.restorer import Restorer
    from components.imaging.sampler import SamplerSettings
    from components.restore.model import Model
    from components.restore.run import Batch
    from components.restore.settings import RestoreSettings


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
def restore_pictures(workspace: Workspace, inputs: list[str], output: str, *, force: bool, run: str = "") -> Restoration:
    """Files -> restored files and the manifest of what became of each; finished ones are found again."""
    from components.restore.run import restore

    settings = workspace.profile.restore
    model, pinned = find_model(workspace, settings)
    batch = _batch(workspace, model, settings.model_copy(update={"model": pinned}), output, force=force, run=run)
    return _told(workspace, lambda watched: restore(inputs, batch, progress=watched))


@task(name="continue-job", **RETRY)
def continue_job(workspace: Workspace, name: str, run: str = "") -> Restoration:
    """Job that was begun -> the same as if it had never stopped; places and workers are today's."""
    from components.backends.jobs import Jobs
    from components.imaging.sampler import SamplerSettings
    from components.restore.run import go_on
    from components.restore.settings import HOW, RestoreSettings

    job = Jobs(workspace.ledger.url).find(name)
    how = workspace.profile.restore.model_dump(include=set(HOW))
    settings = RestoreSettings(**(job.settings["restore"] | how))
    model, _ = find_model(workspace, settings, SamplerSettings(**job.settings["sampler"]))
    batch = _batch(workspace, model, settings, job.output, force=job.settings["force"], run=run)
    return _told(workspace, lambda watched: go_on(job, batch, progress=watched))


def _told(workspace: Workspace, work: Callable[[Progress], Restoration]) -> Restoration:
    """Restore, and tell Prometheus how far it is where settings ask for it."""
    from components.backends.figures import BatchFigures
    from flows.operations.slots import gpu_slot

    figures = BatchFigures()
    with gpu_slot(), figures.told(workspace.profile.backend.metrics):
        made = work(figures.watching(progress.get()))
        figures.ended({name: getattr(made, name) for name in ("restored", "reused", "failed", "review")})
    return made


def _batch(workspace: Workspace, model: Model, settings: RestoreSettings, output: str, *, force: bool, run: str) -> Batch:
    from components.restore.run import Batch
    from flows.lineage import training_samples

    return Batch(
        model=model,
        settings=settings,
        output=output,
        state=workspace.ledger.url,
        objects=workspace.objects,
        force=force,
        engine=workspace.profile.backend.engine,
        cache=workspace.home / "cache",
        weights=workspace.weights_folder,
        training=partial(training_samples, workspace, model.name),
        run=run,
    )


def find_model(workspace: Workspace, settings: RestoreSettings, sampler: SamplerSettings | None = None) -> tuple[Model, str]:
    """The model that `restore.model` names, from the registry or a folder, and the name that means this version for ever.

    Args:
        workspace: registry and profile.
        settings: which model, and what is changed of its sampler.
        sampler: of a model in a folder; None is the profile's.
    """
    from components.register.lineage import fetch_parts
    from components.register.names import ADAPTER
    from components.restore.model import Model

    wanted, own = settings.model, settings.model_dump(include={"fidelity", "mode", "memory"}, exclude_none=True)
    folder = Path(wanted).expanduser()
    if not folder.is_dir() and not wanted.startswith((".", "/", "~")):
        version = workspace.tracker.resolve(wanted)
        parts = fetch_parts(workspace.tracker, version, workspace.home / "cache" / "models")
        name = f"{version.name}/{version.version}"
        return Model(name, parts.base, parts.adapter, parts.sampler.model_copy(update=own)), name
    if not (folder / ADAPTER).is_file():
        diffusers = (folder / "model_index.json").is_file()
        hint = " It is a diffusers folder: make a bundle of it with lucidflux convert." if diffusers else ""
        raise WeightsError(f"Expected a bundle with {ADAPTER} in the folder {folder}, found none.{hint}")
    sampling = (sampler or workspace.profile.sampler).model_copy(update=own)
    model = Model("", folder, folder / ADAPTER, sampling)
    return replace(model, name=f"{folder.resolve().name}/{model.identity[:12]}"), str(folder.absolute())


def open_restorer(workspace: Workspace) -> tuple[Restorer, str]:
    """The model that `restore.model` names, loaded, and its name without the folder's place."""
    model, _ = find_model(workspace, workspace.profile.restore)
    return model.load(), model.name
