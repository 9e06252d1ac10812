"""Tasks from an adapter to restored pictures: registration, promotion, restoring."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task

from components.errors import WeightsError
from components.records import EvalReport, ModelVersion, Restoration, TrainRun
from flows.progress import progress
from flows.tasks.caching import RETRY
from flows.workspace import Workspace, git_revision

if TYPE_CHECKING:
    from components.imaging.restorer import Restorer


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
    restorer, model = open_restorer(workspace)
    batch = Batch(restorer=restorer, model=model, settings=workspace.profile.restore, output=output, force=force)
    return restore(found, batch, objects=workspace.store, progress=progress.get())


def open_restorer(workspace: Workspace) -> tuple[Restorer, str]:
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
