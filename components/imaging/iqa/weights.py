"""The weight files of a metric: where they have to lie, and that they are what they should be. No network is asked."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from components.backends.weights import Shelf
from components.errors import WeightsError
from components.imaging.iqa.metrics import METRICS, info


def ready(name: str, weights: Path | None = None) -> dict[str, str]:
    """Say which weights a metric would score with; cheap enough to ask before hours of work.

    Args:
        name: key of METRICS.
        weights: the weights folder; None where there is none, which is enough for metrics without weights.

    Returns:
        Set -> sha256 of its file; empty for metrics without weights.

    Raises:
        UnknownName: there is no such metric.
        WeightsError: a file is missing, or is not the pinned or recorded one; says which, and how to bring it.
    """
    shelf = Shelf(weights or Path("WEIGHTS_FOLDER"))
    absent = [needed for needed in info(name).weights if weights is None or not path(shelf, needed).is_file()]
    if absent:
        free = ", ".join(known for known, metric in METRICS.items() if not (metric.weights or metric.needs_reference))
        raise WeightsError(
            f"'{name}' needs weights that are not here: {'; '.join(_wanted(shelf, needed) for needed in absent)}. "
            f"They are never downloaded by themselves. Metrics without weights: {free}."
        )
    return {needed: _digest(shelf.folder, needed, _stamp(path(shelf, needed))) for needed in info(name).weights}


def files(name: str, weights: Path | None) -> dict[str, Path]:
    """Where the files of `ready` lie."""
    return {needed: path(Shelf(weights), needed) for needed in info(name).weights} if weights else {}


def path(shelf: Shelf, needed: str) -> Path:
    """Where the one file of a set lies."""
    (file,) = shelf.pin(needed).files
    return shelf.path(needed, file)


def _wanted(shelf: Shelf, needed: str) -> str:
    pin = shelf.pin(needed)
    place, source = path(shelf, needed), pin.source or f"hub repository {pin.repository}"
    words = f"import {needed} PATH" if pin.source else f"fetch {needed}"
    return (
        f"{place.name} (sha256 {pin.files[0].sha256 or 'not pinned'}, licence {pin.licence}, from {source}) belongs at {place}: "
        f"run lucidflux weights {words}"
    )


def _stamp(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


@cache
def _digest(folder: Path, needed: str, stamp: tuple[int, int]) -> str:
    """Hash a file once for as long as it is not touched."""
    del stamp
    shelf = Shelf(folder)
    return shelf.prove_hash(needed, shelf.pin(needed).files[0], path(shelf, needed))
