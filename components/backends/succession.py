"""Which version of a dataset was curated before which: a list in the store that only grows."""

from __future__ import annotations

import json

from components.backends.storage import Storage


def previous(store: Storage, name: str, manifest: str) -> str | None:
    """Give the curated manifest that came before one, or the last one for a manifest that is new.

    Args:
        store: where the list lives.
        name: of the dataset.
        manifest: sha256 of a curated manifest.
    """
    known = history(store, name)
    before = known[: known.index(manifest)] if manifest in known else known
    return before[-1] if before else None


def append(store: Storage, name: str, manifest: str) -> None:
    """Add a curated manifest at the end; one that is there already stays where it is."""
    known = history(store, name)
    if manifest not in known:
        store.put(_key(name), json.dumps([*known, manifest]).encode())


def history(store: Storage, name: str) -> list[str]:
    """Every curated manifest of a dataset, oldest first."""
    key = _key(name)
    known: list[str] = json.loads(store.read(key)) if store.exists(key) else []
    return known


def _key(name: str) -> str:
    return f"successions/{name}.json"
