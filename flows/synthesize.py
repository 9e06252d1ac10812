"""Flow `synthesize`: kept training pictures -> seeded LQ/HQ pairs."""

from __future__ import annotations

from prefect import flow
from prefect.artifacts import create_link_artifact

from components.records import Curation, PairSet
from flows import tasks
from flows.workspace import open_workspace


@flow(name="synthesize")
def synthesize(curation: Curation, profile: str = "tiny", overrides: list[str] | None = None, home: str = "") -> PairSet:
    """Draw the recipe of every pair, make the pixels where they are kept, measure some and draw the page.

    Args:
        curation: what `curate` gave.
        profile: name of a profile.
        overrides: `key=value` settings.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
    """
    workspace = open_workspace(profile, overrides, home)
    pairs = tasks.run(tasks.synthesize_pairs, workspace, curation)
    pairs = tasks.run(tasks.draw_pairs, workspace, pairs)
    create_link_artifact(f"{workspace.store.root}/{pairs.picture}", key="pairs-picture", link_text="Picture of the pairs")
    return pairs
