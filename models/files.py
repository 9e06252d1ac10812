"""The files of a bundle and their hashes; imports no network, so that those who only name a bundle start quickly."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from models.config import CONFIG_FILE, NetworkConfig

FROZEN_FILES: Mapping[str, str] = {
    "autoencoder": "autoencoder.safetensors",
    "backbone": "backbone.safetensors",
    "prior": "prior.safetensors",
    "encoder": "encoder.safetensors",
    "prompt": "prompt.safetensors",
    "connector": "connector.safetensors",
    "hint": "hint.safetensors",
}
"""Part -> file; the rest beside STARTS never changes."""
STARTS = ("connector", "hint")
"""Starts of trained parts: what an adapter replaces, so a bundle may do without."""


def expected(config: NetworkConfig) -> dict[str, str]:
    """Part -> file of every part that a bundle with this config has."""
    return {name: file for name, file in FROZEN_FILES.items() if name not in STARTS or name in config.starts}


def hashes(directory: Path) -> dict[str, str]:
    """File name -> sha256 of the config and of every part of the bundle.

    Raises:
        ValueError: a file is missing, or the config is damaged.
    """
    found: dict[str, str] = {}
    for name in (CONFIG_FILE, *expected(NetworkConfig.load(directory)).values()):
        path = directory / name
        if not path.is_file():
            raise ValueError(
                f"Expected {name} in the bundle {directory}, found none. Restore it from the release or train the bundle again."
            )
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
