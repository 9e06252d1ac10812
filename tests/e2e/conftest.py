"""A whole quickstart, made small, run once for every test that looks at what it left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "train.steps": "16",
    "train.checkpoint_every_steps": "4",
    "synthesize.epochs": "2",
    "evaluate.images": "2",
    "promote.floor_psnr_gain_db": "-50",
}
"""The real program with smaller numbers; 16 steps prove the way, not the model."""


def command(home: Path, *words: str, settings: dict[str, str] = SMALL) -> list[str]:
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return [sys.executable, "-m", "flows", "--home", str(home), "--json", *sets, *words]


def environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_", "LUCIDFLUX_"))}


def run(home: Path, *words: str, settings: dict[str, str] = SMALL) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(home, *words, settings=settings), cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )


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
