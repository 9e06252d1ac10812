"""Fixtures shared by every tier."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder with real photos and hostile files; LUCIDFLUX_TEST_DATA names another place."""
    folder = Path(os.environ.get("LUCIDFLUX_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"test photos are not at {folder}; set LUCIDFLUX_TEST_DATA to their folder")
    return folder
