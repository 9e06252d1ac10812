"""The files of a bundle and their hashes; imports no network, so that those who only name a bundle start quickly."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from models.config import CONFIG_FILE

FROZEN_FILES: Mapping[str, str] = {
    "autoencoder": "autoencoder.safetensors",
    "backbone": "backbone.safetensors",
    "prior": "prior.safetensors",
    "encoder": "encoder.safetensors",
    "prompt": "prompt.safetensors",
    "connector": "connector.safetensors",
    "hint": "hint.safetensors",
}
"""Part -> file; connector and hint are starts of trained parts, the rest never changes."""


def hashes(directory: Path) -> dict[str, str]:
    """File name -> sha256 of the config and of every frozen part.

    Raises:
        ValueError: a file is missing.
    """
    found: dict[str, str] = {}
    for name in (CONFIG_FILE, *FROZEN_FILES.values()):
        path = directory / name
        if not path.is_file():
            raise ValueError(
                f"Expected {name} in the bundle {directory}, found none. Restore it from the release or train the bundle again."
            )
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
