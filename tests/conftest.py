"""Fixtures shared by every tier."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres as postgresql
from tests.faulty_s3 import Faulty, credentials, serving

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder with real photos and hostile files; LUCIDFLUX_TEST_DATA names another place."""
    folder = Path(os.environ.get("LUCIDFLUX_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"test photos are not at {folder}; set LUCIDFLUX_TEST_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def s3_server() -> Iterator[tuple[str, Faulty]]:
    """Address of a real S3 server, and the layer in front of it that can be told to spoil answers."""
    with serving(share=0) as served:
        yield served


@pytest.fixture
def s3(s3_server: tuple[str, Faulty], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Name of a new bucket there, which boto3 finds by the environment."""
    import boto3

    endpoint, layer = s3_server
    for name, value in credentials(endpoint).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(layer, "share", 0.0)
    # the name is part of what decides the faults: the same each time
    bucket = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]
    client = boto3.client("s3")
    client.create_bucket(Bucket=bucket)
    return bucket


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgresql.Postgres]:
    """A real PostgreSQL server."""
    with postgresql.serving() as served:
        yield served
