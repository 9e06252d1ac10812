"""Flow `synthesize`: kept training pictures -> seeded LQ/HQ pairs."""

from __future__ import annotations

from prefect import flow

from components.records import Curation, PairSet
from flows import tasks
from flows.workspace import open_workspace


@flow(name="synthesize")
def synthesize(curation: Curation, profile: str = "tiny", overrides: list[str] | None = None, home: str = "") -> PairSet:
    """Draw the recipe of every pair.

    Args:
        curation: what `curate` gave.
        profile: name of a profile.
        overrides: `key=value` settings.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
    """
    workspace = open_workspace(profile, overrides, home)
    return tasks.run(tasks.synthesize_pairs, workspace, curation)
