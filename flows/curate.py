"""Flow `curate`: a dataset version -> a verdict for every picture."""

from __future__ import annotations

from prefect import flow
from prefect.artifacts import create_table_artifact

from components.records import Curation, DatasetVersion
from flows import tasks
from flows.workspace import open_workspace


@flow(name="curate")
def curate(dataset: DatasetVersion, profile: str = "tiny", overrides: list[str] | None = None, home: str = "") -> Curation:
    """Score every picture, select, and check both sides of the selection.

    Args:
        dataset: what `ingest` gave.
        profile: name of a profile.
        overrides: `key=value` settings.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
    """
    workspace = open_workspace(profile, overrides, home)
    curation = tasks.run(tasks.curate_images, workspace, dataset)
    table = [{"verdict": name, "pictures": count} for name, count in curation.funnel.items()]
    create_table_artifact(table, key="funnel", description=f"Curation of {dataset.name} ({dataset.dvc_md5[:12]})")
    return curation
