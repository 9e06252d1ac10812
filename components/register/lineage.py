"""Back from a model version to what it was made from, and to its weights; the version alone is enough."""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.backends.tracking import Tracker
from components.imaging.sampler import SamplerSettings
from components.records import ModelVersion
from components.register.names import ADAPTER, BUNDLE


@dataclass(frozen=True)
class Parts:
    """What a restorer needs of a version."""

    base: Path
    adapter: Path
    sampler: SamplerSettings


def lineage(tracker: Tracker, model: str) -> dict[str, Any]:
    """List what a version comes from.

    Args:
        tracker: the registry.
        model: `NAME@alias` or `NAME/number`.

    Returns:
        dataset version (DVC), manifests, settings, git revision, expectations, evaluation, checkpoint, frozen parts
        with hashes, licences, and the ids of the training images.

    Raises:
        RegistryError: there is no such version.
    """
    version = tracker.resolve(model)
    facts: dict[str, Any] = json.loads(tracker.read_text(version, "lineage.json"))
    images = json.loads(tracker.read_text(version, "training_images.json"))
    return {"model": f"{version.name}/{version.version}", "alias": version.alias, **facts, "training_images": images}


def fetch_parts(tracker: Tracker, version: ModelVersion, cache: Path) -> Parts:
    """Copy a version's weights from the registry, once.

    Args:
        tracker: the registry.
        version: whose weights.
        cache: folder that keeps copies.
    """
    folder = cache / f"{version.name}-{version.version}-{version.run_id}"
    if not folder.is_dir():
        partial = cache / f".{uuid.uuid4().hex}.partial"
        weights = tracker.download(version, partial, f"artifacts/{BUNDLE}")
        (weights / "lineage.json").write_text(tracker.read_text(version, "lineage.json"))
        if not folder.is_dir():
            weights.rename(folder)
        shutil.rmtree(partial, ignore_errors=True)
    sampler = json.loads((folder / "lineage.json").read_text())["sampler"]
    return Parts(folder, folder / ADAPTER, SamplerSettings(**sampler))
