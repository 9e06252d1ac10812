"""A whole quickstart, made small, run once for every test that looks at what it left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "train.steps": "16",
    "train.checkpoint_every_steps": "4",
    "synthesize.epochs": "2",
    "evaluate.images": "2",
    "promote.floor_psnr_gain_db": "-50",
}
"""The real program with smaller numbers; 16 steps prove the way, not the model."""


STAGES = "tests.e2e.stages"
"""The stages without the flows around them: seconds where the command line takes half a minute."""


def command(home: Path, *words: str, settings: dict[str, str] = SMALL, program: str = "flows") -> list[str]:
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return [sys.executable, "-m", program, "--home", str(home), "--json", *sets, *words]


def environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_", "LUCIDFLUX_"))}


def run(home: Path, *words: str, settings: dict[str, str] = SMALL, program: str = "flows") -> subprocess.CompletedProcess[str]:
    words = tuple(command(home, *words, settings=settings, program=program))
    return subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)


@dataclass
class Home:
    """A home after a quickstart, and the record that it printed."""

    path: Path
    record: dict[str, Any]


@pytest.fixture(scope="session")
def quickstarted(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = tmp_path_factory.mktemp("home")
    done = run(home, "quickstart")
    assert done.returncode == 0, done.stderr[-4000:]
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done.stdout[:2000]
    return Home(home, json.loads(lines[0]))


MANY_SHARDS = {
    "ingest.shard_pictures": "4",
    "backend.workers": "2",
    "synthesize.preset": "dreamclear",
    "synthesize.crop_px": "160",
    "synthesize.epochs": "2",
    "synthesize.store": "shards",
    "synthesize.shard_pairs": "4",
}
"""Fifty groups of four pictures, so that there is much to be interrupted."""


@dataclass
class Collection:
    """Made photos, and what the stages make of them when nobody disturbs them."""

    photos: Path
    home: Path
    manifests: list[str]
    """sha256 of the images, of what was curated of them, and of the pairs."""
    parts: list[int]
    """Parts that the workers left on the way."""
    seconds: list[float]
    """What each stage took."""

    @property
    def verbs(self) -> list[tuple[str, str]]:
        """What is run, one after the other."""
        given = [str(self.photos), *self.manifests]
        return list(zip(("ingest", "curate", "synthesize"), given, strict=False))


def objects(home: Path) -> set[str]:
    """Keys of everything below a home's object store, unfinished files too."""
    return {str(path.relative_to(home / "objects")) for path in (home / "objects").rglob("*") if path.is_file()}


def finished_parts(home: Path) -> int:
    """How many groups of rows workers have finished."""
    return sum(1 for folder in ("parts", "scores") for _ in (home / "objects" / folder).rglob("*.parquet"))


def make_photos(folder: Path, count: int) -> Path:
    """Write grainy JPEGs of random patches: every fifth is flat, every 25th a copy of the one before, one is cut off."""
    folder.mkdir()
    for number in range(count):
        path = folder / f"{number:03}.jpg"
        if number % 25 == 24:
            path.write_bytes((folder / f"{number - 1:03}.jpg").read_bytes())
            continue
        random = np.random.default_rng(number)
        patches = Image.fromarray(random.integers(0, 256, (4, 4, 3) if number % 5 == 0 else (24, 32, 3), dtype=np.uint8))
        soft = np.asarray(patches.resize((320, 240), Image.Resampling.BICUBIC), dtype=np.int16)
        grainy = soft + random.integers(-12, 13, soft.shape, dtype=np.int16)
        Image.fromarray(grainy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    path.write_bytes(path.read_bytes()[:5000])
    return folder


def made(home: Path, *words: str, settings: dict[str, str], program: str = STAGES) -> str:
    """Run a verb and give the hash of the manifest that it made."""
    done = run(home, *words, settings=settings, program=program)
    assert done.returncode == 0, done.stderr[-4000:]
    sha256: str = json.loads(done.stdout.splitlines()[-1])["manifest"]["sha256"]
    return sha256


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    home = tmp_path_factory.mktemp("undisturbed")
    undisturbed = Collection(make_photos(tmp_path_factory.mktemp("made") / "photos", 200), home, [], [], [])
    for verb in ("ingest", "curate", "synthesize"):
        given, began, before = (undisturbed.manifests or [str(undisturbed.photos)])[-1], time.monotonic(), finished_parts(home)
        undisturbed.manifests.append(made(home, verb, given, settings=MANY_SHARDS))
        undisturbed.parts.append(finished_parts(home) - before)
        undisturbed.seconds.append(time.monotonic() - began)
    return undisturbed
