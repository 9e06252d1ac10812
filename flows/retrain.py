"""Flow `retrain`: the six stages chained; ends with a challenger, or says that there is nothing new to learn from."""

from __future__ import annotations

from typing import cast

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event
from prefect.states import Completed

from components.records import DatasetVersion, ModelVersion
from flows.curate import curate
from flows.evaluate import evaluate
from flows.ingest import ingest
from flows.lineage import dataset_of, newest_version
from flows.operations.automations import CHALLENGER_EVENT
from flows.register import register
from flows.synthesize import synthesize
from flows.train import train
from flows.workspace import open_workspace


@flow(name="retrain")
def retrain(
    sources: list[str],
    profile: str = "tiny",
    overrides: list[str] | None = None,
    home: str = "",
    only_new_data: bool = False,  # noqa: FBT001, FBT002 (a flow's parameters are named by Prefect)
) -> ModelVersion:
    """From photos to a registered challenger.

    Args:
        sources: `packaged:`, `folder:PATH` or plain paths.
        profile: name of a profile.
        overrides: `key=value` settings.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
        only_new_data: end as `Skipped`, with the newest version, when the sources hold what that was made from.
    """
    from components.synthesize.run import degradation

    workspace = open_workspace(profile, overrides, home)
    degradation(workspace.profile.synthesize)  # a wrong one is better known before the hours
    dataset = ingest(sources, profile, overrides, home)
    newest = newest_version(workspace)
    if only_new_data and newest and dataset_of(workspace, newest) == dataset.manifest.sha256:
        return _skipped(dataset, newest)
    curation = curate(dataset, profile, overrides, home)
    pairs = synthesize(curation, profile, overrides, home)
    run = train(pairs, profile, overrides, home)
    report = evaluate(run, profile, overrides, home)
    made = register(run, report, profile, overrides, home)
    _tell(made, newest)
    return made


def _skipped(dataset: DatasetVersion, newest: ModelVersion) -> ModelVersion:
    """Say that nothing was done, where people look: in the state of the run and in an artifact."""
    said = f"no new data: {newest.name}/{newest.version} was made from the same pictures (dataset version {dataset.dvc_md5})"
    create_markdown_artifact(f"Skipped, {said}.\n", key="retrain", description="Skipped: no new data")
    # Prefect takes a state for the run's end and gives its data to the caller
    return cast("ModelVersion", Completed(name="Skipped", message=said, data=newest))


def _tell(made: ModelVersion, newest: ModelVersion | None) -> None:
    """Let automations hear of a challenger; a run that made an older version again has none."""
    name = f"{made.name}/{made.version}"
    create_markdown_artifact(f"{name} is @{made.alias}.\n", key="retrain", description=name)
    if newest is None or made.version > newest.version:
        emit_event(
            CHALLENGER_EVENT,
            resource={"prefect.resource.id": f"lucidflux.model.{made.name}", "prefect.resource.name": made.name},
            payload={"version": name, "run_id": made.run_id},
        )
