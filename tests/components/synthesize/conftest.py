"""Curated pictures that are really there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest

from components.backends import manifest
from components.backends.shards import write_shard
from components.backends.storage import LocalStorage
from components.imaging import codec
from components.records import Curation
from tests.records import train_run


@pytest.fixture
def store(tmp_path) -> LocalStorage:
    return LocalStorage(tmp_path / "objects")


@pytest.fixture
def curated(store) -> Callable[..., Curation]:
    """Curate made pictures of the given widths; more keywords change all rows."""

    def make(*sides: int, settings: str = "", **changes: object) -> Curation:
        rows = []
        for number, side in enumerate(sides):
            soft = np.random.default_rng(number).integers(0, 256, (12, side // 16 + 1, 3), dtype=np.uint8)
            data = codec.encode_png(np.kron(soft, np.ones((16, 16, 1), np.uint8))[:, :side])
            (place,) = write_shard(store, [(f"{number}.png", data)])
            row = {"id": hashlib.sha256(data).hexdigest(), "origin": str(number), "width_px": side, "height_px": 192}
            rows.append({**row, **place._asdict(), "scene": str(number), "split": "train", "verdict": "kept", **changes})
        written = manifest.write(store, "images", rows, settings=settings)
        return train_run().pairs.curation.model_copy(update={"manifest": written})

    return make
