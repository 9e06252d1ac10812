"""Flow `ingest`: pictures -> a dataset version."""

from __future__ import annotations

from prefect import flow

from components.ingest.run import fingerprint
from components.records import DatasetVersion
from flows import tasks
from flows.workspace import open_workspace


@flow(name="ingest")
def ingest(sources: list[str], profile: str = "tiny", overrides: list[str] | None = None, home: str = "") -> DatasetVersion:
    """Store every picture of the sources and pin them in DVC.

    Args:
        sources: `KIND:WHERE?name=…&licence=…&trusted=true`, or plain paths; kinds are in components/ingest/sources.py.
        profile: name of a profile.
        overrides: `key=value` settings.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
    """
    workspace = open_workspace(profile, overrides, home)
    found, total = fingerprint(sources, workspace.profile.ingest)
    manifest = tasks.run(tasks.ingest_images, workspace, sources, found, total)
    return tasks.run(tasks.version_dataset, workspace, "photos", manifest, total)
