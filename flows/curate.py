"""Flow `curate`: a dataset version -> a verdict for every picture."""

from __future__ import annotations

from prefect import flow
from prefect.artifacts import create_link_artifact, create_table_artifact

from components.records import Curation, DatasetVersion
from flows import tasks
from flows.pictures import compared_with
from flows.workspace import open_workspace


@flow(name="curate")
def curate(dataset: DatasetVersion, profile: str = "tiny", overrides: list[str] | None = None, home: str = "") -> Curation:
    """Score every picture, select, check both sides of the selection, pin the verdicts and draw the dataset.

    Args:
        dataset: what `ingest` gave.
        profile: name of a profile.
        overrides: `key=value` settings.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
    """
    workspace = open_workspace(profile, overrides, home)
    curation = tasks.run(tasks.curate_images, workspace, dataset)
    tasks.run(tasks.version_curation, workspace, curation)
    curation = tasks.run(tasks.draw_dataset, workspace, curation, compared_with(workspace, curation))
    table = [{"verdict": name, "pictures": count} for name, count in curation.funnel.items()]
    create_table_artifact(table, key="funnel", description=f"Curation of {dataset.name} ({dataset.dvc_md5[:12]})")
    create_link_artifact(f"{workspace.store.root}/{curation.picture}", key="dataset-picture", link_text="Picture of the dataset")
    return curation
