"""A bundle and pairs that are small enough for a step in milliseconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.backends import manifest
from components.backends.storage import LocalStorage
from components.imaging import codec
from components.imaging.degrade import recipe
from components.records import Manifest, canonical_json, content_hash
from models.config import (
    AutoencoderConfig,
    BackboneConfig,
    EncoderConfig,
    LatentConfig,
    NetworkConfig,
    PriorConfig,
)

SMALL = NetworkConfig(
    latent=LatentConfig(channels=4, scale=1.0, shift=0.0),
    backbone=BackboneConfig(hidden=24, heads=2, axes=(4, 4, 4), double_blocks=2, single_blocks=1, context_dim=12, pooled_dim=8),
    encoder=EncoderConfig(hidden=16, intermediate=16, layers=1, heads=2, image_px=32, patch_px=16),
    autoencoder=AutoencoderConfig(kind="skip", widths=(8, 8, 8), blocks=1),
    prior=PriorConfig(widths=(8, 8, 8)),
    prompt_tokens=3,
)


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle with seeded random weights."""
    import torch

    from models import bundle

    folder = tmp_path_factory.mktemp("bundle")
    torch.manual_seed(0)
    SMALL.save(folder)
    for name, module in bundle.build(SMALL).modules().items():
        bundle.write_weights(folder / bundle.FROZEN_FILES[name], module)
    return folder


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> LocalStorage:
    """An object store."""
    return LocalStorage(tmp_path_factory.mktemp("objects"))


@pytest.fixture(scope="session")
def small_pairs(small_store: LocalStorage) -> Manifest:
    """Twelve pairs of 32 px crops from three noise pictures in one shard."""
    rows, shard = [], b""
    settings = recipe.preset("moderate").model_copy(update={"crop_px": 32})
    for number in range(3):
        random = np.random.default_rng(number)
        data = codec.encode_png(random.integers(0, 256, (48, 56, 3), dtype=np.uint8))
        for epoch in range(4):
            drawn = canonical_json(recipe.draw(0, f"image-{number}", epoch, settings))
            rows.append(
                {
                    "id": content_hash(number, epoch),
                    "hq_id": f"image-{number}",
                    "epoch": epoch,
                    "seed": 0,
                    "split": "train",
                    "recipe": drawn,
                    "shard": "shards/one.tar",
                    "offset": len(shard),
                    "length": len(data),
                }
            )
        shard += data
    small_store.put("shards/one.tar", shard)
    return manifest.write(small_store, "pairs", rows)


@pytest.fixture(scope="session")
def small_held_out(small_store: LocalStorage) -> Manifest:
    """Image manifest with three held-out pictures, soft and grainy."""
    rows, shard = [], b""
    for number in range(3):
        random = np.random.default_rng(50 + number)
        coarse = np.kron(random.integers(0, 256, (7, 7, 3)), np.ones((28, 28, 1)))
        image_u8 = (coarse + random.normal(0, 6, coarse.shape)).clip(0, 255).astype(np.uint8)
        data = codec.encode_png(image_u8)
        row = {"id": f"held-{number}", "origin": f"{number}.png", "shard": "shards/held.tar", "offset": len(shard)}
        row |= {"length": len(data), "width_px": 196, "height_px": 196, "split": "test", "verdict": "kept"}
        rows.append(row)
        shard += data
    small_store.put("shards/held.tar", shard)
    return manifest.write(small_store, "images", rows)
