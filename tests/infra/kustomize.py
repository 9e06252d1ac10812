"""What `kubectl kustomize` makes of an overlay, as far as infra/kubernetes uses it: resources, namespace, images, JSON patches.

An unknown key is an error here, so that nothing is overlooked; where kubectl is installed a test compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonpatch
import yaml

Object = dict[str, Any]
KNOWN = {"apiVersion", "kind", "resources", "namespace", "images", "patches"}


def render(folder: Path) -> list[Object]:
    """Every object of an overlay, with what its kustomization changes."""
    asked = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(asked) <= KNOWN, f"{folder}: teach tests/infra/kustomize.py about {set(asked) - KNOWN}"
    objects: list[Object] = []
    for name in asked["resources"]:
        place = folder / name
        objects += render(place) if place.is_dir() else list(yaml.safe_load_all(place.read_text()))
    for one in objects:
        if "namespace" in asked and one["kind"] != "Namespace":
            one["metadata"]["namespace"] = asked["namespace"]
        for container in containers(one):
            for image in asked.get("images", ()):
                if container["image"].partition(":")[0] == image["name"]:
                    container["image"] = f"{image['newName']}:{image['newTag']}"
    for patch in asked.get("patches", ()):
        wanted = patch["target"]
        (found,) = [one for one in objects if (one["kind"], one["metadata"]["name"]) == (wanted["kind"], wanted["name"])]
        jsonpatch.apply_patch(found, yaml.safe_load(patch["patch"]), in_place=True)
    return objects


def pod(one: Object) -> Object | None:
    """The pod that an object starts; None when it starts none."""
    template = one.get("spec", {}).get("template", {}) if one["kind"] in ("Deployment", "StatefulSet", "Job") else {}
    return template.get("spec")


def containers(one: Object) -> list[Object]:
    """Containers of an object."""
    started = pod(one)
    return started["containers"] if started else []
