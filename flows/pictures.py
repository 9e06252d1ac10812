"""What the page of a curated dataset is about: its curation, what it is compared with, and where more is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from components.backends import catalog, succession
from components.records import Curation
from flows.workspace import Workspace

if TYPE_CHECKING:
    from components.curate.picture import Subject

SHORT = 12


def compared_with(workspace: Workspace, curation: Curation) -> list[str]:
    """The curated manifest of the version before, where there is one."""
    before = succession.previous(workspace.store, curation.dataset.name, curation.manifest.sha256)
    return [before] if before else []


def subject_of(workspace: Workspace, curation: Curation, compared: Sequence[str]) -> Subject:
    """Put together what a page shows.

    Args:
        workspace: whose settings curated.
        curation: what is shown.
        compared: curated manifests, or beginnings of their hashes, that it is shown beside.

    Raises:
        ManifestError: there is no such curation.
    """
    from components.curate.picture import Metric, Subject
    from components.imaging import iqa

    settings = workspace.profile.curate
    found = [catalog.find(workspace.store, Curation, name) for name in compared]
    info = iqa.info(settings.quality_metric)
    dataset = curation.dataset
    checks = (dataset.expectations, curation.before, curation.after)
    label = iqa.stands_in(settings.quality_metric) or info.about
    encoder = workspace.profile.base_folder
    return Subject(
        title=f"{dataset.name} {curation.manifest.sha256[:SHORT]}",
        curated=curation.manifest,
        settings=settings,
        metric=Metric(name=settings.quality_metric, label=label, higher_is_better=info.higher_is_better),
        comparisons=[(f"{one.dataset.name} {one.manifest.sha256[:SHORT]}", one.manifest) for one in found],
        encoder=encoder if (encoder / "encoder.safetensors").is_file() else None,
        links={f"Checks: {checked.suite}": f"../{checked.docs}" for checked in checks if checked.docs},
        facts={"Dataset version": dataset.dvc_md5, "Image manifest": dataset.manifest.sha256},
    )
