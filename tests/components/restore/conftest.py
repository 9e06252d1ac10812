"""The miniature without an adapter, one step a picture; loaded once for all tests of a process."""

from __future__ import annotations

import pytest

from components.imaging.sampler import SamplerSettings
from components.restore.model import Model
from flows.settings import load

SAMPLER = SamplerSettings(steps=1, start=0.2, shift="none", tile_px=64, overlap_px=0)


@pytest.fixture(scope="session")
def model():
    return Model("m/1", load("tiny").base_folder, None, SAMPLER)


@pytest.fixture(scope="session")
def restorer(model):
    return model.load()
