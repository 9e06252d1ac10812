"""Kill -9 of workers and parents while a batch is restored by a real second process; the same command then goes on."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from components.imaging import codec
from tests.e2e.conftest import ROOT, environment

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
PICTURES, SHARD = 40, 4


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Forty small pictures of two sizes in two folders, a copy, and one that is cut off."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "sub").mkdir()
    for number in range(PICTURES):
        random = np.random.default_rng(number)
        image = random.integers(0, 256, (64, 64 + 32 * (number % 2), 3), dtype=np.uint8)
        name = f"{'sub/' if number % 3 else ''}{number:02}"
        if number % 2:
            (folder / f"{name}.png").write_bytes(codec.encode_png(image))
        else:
            (folder / f"{name}.jpg").write_bytes(codec.encode_jpeg(image, 90))
    (folder / "copy.png").write_bytes((folder / "sub" / "01.png").read_bytes())
    (folder / "cut.png").write_bytes((folder / "sub" / "01.png").read_bytes()[:900])
    return folder


class Run:
    """One command, started and not waited for."""

    def __init__(self, home, photos, out, *words):
        home.mkdir(exist_ok=True)
        self.out, self.log = out, home / f"{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "tests.e2e.restoring", "--home", home, "--out", out, "--shard", SHARD, *words, photos]
        with self.log.open("w") as log:
            # workers have one thread each, and the last bits of a sum follow the number of threads
            where = {**environment(), "OMP_NUM_THREADS": "1"}
            self.process = subprocess.Popen(
                [str(word) for word in command], cwd=ROOT, env=where, stdout=subprocess.PIPE, stderr=log
            )

    def workers(self):
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if any("multiprocessing.spawn" in word for word in child.cmdline())]

    def until(self, results):
        """Wait until so many results are written; gives their times of change."""
        while len(written(self.out)) < results:
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.002)
        return {path: path.stat().st_mtime_ns for path in written(self.out)}

    def kill(self):
        self.process.kill()
        self.process.wait()

    def record(self):
        said, _ = self.process.communicate()
        assert self.process.returncode == 0, self.log.read_text()
        return json.loads(said)


def written(out):
    return [path for path in out.rglob("*") if path.suffix in (".png", ".jpg") and not path.name.startswith(".")]


def hashes(out):
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in written(out)}


@pytest.fixture(scope="module")
def undisturbed(photos, tmp_path_factory):
    home = tmp_path_factory.mktemp("undisturbed")
    record = Run(home, photos, home / "out").record()
    assert (record["restored"], record["failed"]) == (PICTURES + 1, 1)
    return record, hashes(home / "out")


def check(record, out, undisturbed, kills):
    """Every input has one output or one reason, the same as undisturbed; at most a shard was done twice for each kill."""
    expected, bytes_expected = undisturbed
    assert hashes(out) == bytes_expected
    assert record["manifest"]["sha256"] == expected["manifest"]["sha256"]
    assert record["restored"] + record["reused"] == PICTURES + 1
    assert record["reused"] <= kills * SHARD
    assert not list(out.rglob("*.partial"))
    with Path(record["sidecar"]).open() as file:
        rows = [json.loads(line) for line in file]
    assert len({row["input"] for row in rows}) == len(rows) == PICTURES + 2
    assert all(bool(row.get("output")) != bool(row.get("reason")) for row in rows)


def test_killed_runs_go_on_and_write_nothing_twice(photos, tmp_path, undisturbed):
    out = tmp_path / "out"
    before = {}
    for results in (7, 22):
        run = Run(tmp_path / "home", photos, out)
        now = run.until(results)
        run.kill()
        assert {path: now[path] for path in before} == before
        before = now
    record = Run(tmp_path / "home", photos, out).record()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    check(record, out, undisturbed, kills=2)


def test_a_killed_worker_costs_its_shard_and_not_the_run(photos, tmp_path, undisturbed):
    run = Run(tmp_path / "home", photos, tmp_path / "out", "--workers", 2)
    run.until(6)
    run.workers()[0].kill()
    check(run.record(), tmp_path / "out", undisturbed, kills=1)


def test_a_second_run_shares_the_job_and_ends_it_when_the_first_is_killed(photos, tmp_path, undisturbed):
    first = Run(tmp_path / "home", photos, tmp_path / "out")
    second = Run(tmp_path / "home", photos, tmp_path / "out")
    first.until(12)
    first.kill()
    check(second.record(), tmp_path / "out", undisturbed, kills=1)
