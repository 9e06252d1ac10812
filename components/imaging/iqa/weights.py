"""The weights of a metric: where they have to lie, and that they are what they should be. No network is asked."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from components.backends.weights import Shelf
from components.errors import WeightsError
from components.imaging.iqa.metrics import METRICS, info
from components.records import content_hash


def ready(name: str, weights: Path | None = None) -> dict[str, str]:
    """Say which weights a metric would score with; cheap enough to ask before hours of work.

    Args:
        name: key of METRICS.
        weights: the weights folder; None where there is none, which is enough for metrics without weights.

    Returns:
        Set -> sha256 of its file, or one over those of its files; empty for metrics without weights.

    Raises:
        UnknownName: there is no such metric.
        WeightsError: a file is missing, or is not the pinned or recorded one; says which, and how to bring it.
    """
    shelf = Shelf(weights or Path("WEIGHTS_FOLDER"))
    absent = [
        needed for needed in info(name).weights if weights is None or not all(path.is_file() for path in _paths(shelf, needed))
    ]
    if absent:
        free = ", ".join(known for known, metric in METRICS.items() if not (metric.weights or metric.needs_reference))
        raise WeightsError(
            f"'{name}' needs weights that are not here: {'; '.join(_wanted(shelf, needed) for needed in absent)}. "
            f"They are never downloaded by themselves. Metrics without weights: {free}."
        )
    return {needed: _digest(shelf.folder, needed, _stamp(_paths(shelf, needed))) for needed in info(name).weights}


def usable(names: Iterable[str], weights: Path | None = None) -> tuple[list[str], dict[str, str]]:
    """Part metrics into those that can run here and those that cannot.

    Returns:
        The names that can, in their order; and of each other name the sentence of `ready`.

    Raises:
        UnknownName: there is no such metric.
    """
    can, cannot = [], {}
    for name in dict.fromkeys(names):
        try:
            ready(name, weights)
        except WeightsError as error:
            cannot[name] = str(error)
        else:
            can.append(name)
    return can, cannot


def files(name: str, weights: Path | None) -> dict[str, Path]:
    """Where the sets of `ready` lie: the file of a set of one, else the folder."""
    if weights is None:
        return {}
    found = {needed: _paths(Shelf(weights), needed) for needed in info(name).weights}
    return {needed: paths[0] if len(paths) == 1 else weights / needed for needed, paths in found.items()}


def _paths(shelf: Shelf, needed: str) -> list[Path]:
    return [shelf.path(needed, file) for file in shelf.pin(needed).files]


def _wanted(shelf: Shelf, needed: str) -> str:
    pin = shelf.pin(needed)
    source = pin.source or f"hub repository {pin.repository}"
    words = f"import {needed} PATH" if pin.source else f"fetch {needed}"
    hashes = ", ".join(f"{Path(file.path).name} (sha256 {file.sha256 or 'not pinned'})" for file in pin.files)
    place = shelf.path(needed, pin.files[0]) if len(pin.files) == 1 else shelf.folder / needed
    return f"{hashes}, licence {pin.licence}, from {source}, belongs at {place}: run lucidflux weights {words}"


def _stamp(paths: Iterable[Path]) -> tuple[tuple[int, int], ...]:
    return tuple((stat.st_size, stat.st_mtime_ns) for stat in (path.stat() for path in paths))


@cache
def _digest(folder: Path, needed: str, stamp: tuple[tuple[int, int], ...]) -> str:
    """Hash a set once for as long as none of its files is touched."""
    del stamp
    shelf = Shelf(folder)
    digests = [shelf.prove_hash(needed, file, shelf.path(needed, file)) for file in shelf.pin(needed).files]
    return digests[0] if len(digests) == 1 else content_hash(digests)
