"""Kill -9 of workers and of the parent while pictures are ingested, curated and degraded; the same command then goes on."""

import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.e2e.conftest import MANY_SHARDS, STAGES, made, objects
from tests.e2e.interrupted import Run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]


CASES = [
    pytest.param(STAGES, 0),
    *(pytest.param(STAGES, seed, marks=pytest.mark.campaign) for seed in range(1, 8)),
    *(pytest.param("flows", seed, marks=pytest.mark.campaign) for seed in (8, 9)),
]


@pytest.mark.parametrize(("program", "seed"), CASES)
def test_two_killed_parents_and_two_killed_workers_change_no_manifest(collection, tmp_path, program, seed):
    chance, home = random.Random(seed), tmp_path / "home"
    for words, expected, parts in zip(collection.verbs, collection.manifests, collection.parts, strict=True):
        killed = Run(home, *words, settings=MANY_SHARDS, program=program)
        killed.at_work(chance.randint(1, parts // 2))
        killed.kill()
        hurt = Run(home, *words, settings=MANY_SHARDS, program=program)
        chance.choice(hurt.at_work(chance.randint(1, parts // 4))).kill()
        assert hurt.manifest() == expected
    assert_nothing_more(home, collection)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(10))
def test_a_parent_that_is_killed_at_any_moment_changes_no_manifest(collection, tmp_path, seed):
    chance, home = random.Random(seed), tmp_path / "none yet"
    for words, expected, seconds in zip(collection.verbs, collection.manifests, collection.seconds, strict=True):
        home = killed_in(tmp_path, home, words, chance, seconds)
        assert made(home, *words, settings=MANY_SHARDS) == expected
    assert_nothing_more(home, collection)


def assert_nothing_more(home, collection):
    """No shard twice, no shard that nobody knows, no half of one."""
    for folder in ("shards/", "manifests/"):
        left, expected = ({key for key in objects(one) if key.startswith(folder)} for one in (home, collection.home))
        assert left == expected


def killed_in(root, before, words, chance, seconds):
    """Run in copies of a home until a run is killed before its end; gives that copy."""
    while True:
        home = Path(tempfile.mkdtemp(dir=root)) / "home"
        if before.exists():
            shutil.copytree(before, home)
        run = Run(home, *words, settings=MANY_SHARDS)
        try:
            run.process.wait(chance.uniform(0, 0.8 * seconds))
        except subprocess.TimeoutExpired:
            run.kill()
            return home
