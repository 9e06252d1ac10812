"""What a score depends on beside the picture: scores are kept under this name and never mixed."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

from components.imaging.iqa.metrics import info
from components.imaging.iqa.weights import ready
from components.records import content_hash

REVISION = 1
"""Of the way a picture comes to a metric: decoding, scaling, batches."""


def identity(name: str, weights: Path | None = None) -> dict[str, Any]:
    """Metric, variant, hashes of its weights, input size, library versions and kind of device.

    Raises:
        UnknownName: there is no such metric.
        WeightsError: its weights are not there.
    """
    metric = info(name)
    return {
        "metric": name,
        "variant": metric.variant,
        "weights": ready(name, weights),
        "input_px": metric.input_px,
        "versions": versions() | {"device": device(name)},
        "revision": REVISION,
    }


def operator(name: str, weights: Path | None = None) -> str:
    """A name for `identity` that a person can read and a key can hold: `piqe-cpu-pyiqa0.1.16-<hash>`."""
    known = identity(name, weights)
    said = f"{name.replace('+', '-plus')}-{known['versions']['device']}-pyiqa{known['versions']['pyiqa']}"
    return f"{said}-{content_hash(known)[:12]}"


def versions() -> dict[str, str]:
    """Say what else a score depends on, without loading it; the device is that of metrics without weights."""
    return {name: importlib.metadata.version(name) for name in ("pyiqa", "torch")} | {"device": "cpu"}


def device(name: str) -> str:
    """Where a metric runs here: `cuda` or `cpu`."""
    if not info(name).accelerated:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
