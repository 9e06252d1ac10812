import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from components.backends.engine import Trials, map_shards
from components.errors import DecodeError, SettingsError, WorkerError
from tests.components.backends.shard_functions import (
    die_at_two,
    die_the_first_time,
    double,
    fail,
    fail_badly,
    fail_to_decode,
    leave_a_file,
    pid,
    use_up_time,
)

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("workers", [1, 2])
def test_results_keep_the_order_of_the_jobs(workers):
    seen = []
    results = map_shards(double, [3, 1, 2], workers=workers, progress=lambda *step: seen.append(step))
    assert results == [6, 2, 4]
    assert seen[-1] == ("shards", 3, 3)


def test_no_job_gives_no_result():
    assert map_shards(double, iter(()), workers=2) == []


def test_jobs_are_taken_as_workers_get_free():
    taken, ahead = [], []

    def jobs():
        for number in range(40):
            taken.append(number)
            yield number

    map_shards(double, jobs(), workers=2, progress=lambda phase, done, total: ahead.append(len(taken) - done))
    assert len(taken) == 40
    assert max(ahead) <= 2


def test_a_killed_worker_costs_only_the_shard_that_it_had(tmp_path):
    results = map_shards(partial(die_the_first_time, tmp_path), range(5), workers=2)
    tries = {number: len((tmp_path / str(number)).read_text().split()) for number in range(5)}
    assert [number for number, _ in results] == list(range(5))
    assert tries == {0: 2, 1: 1, 2: 1, 3: 2, 4: 1}


def test_a_worker_serves_until_the_end():
    assert len(set(map_shards(pid, range(20), workers=2))) <= 2


def test_a_job_that_kills_its_process_costs_only_itself():
    assert map_shards(die_at_two, [1, 2, 3], workers=2, on_crash=lambda job: -job) == [2, -2, 6]


def test_a_job_that_kills_its_process_is_raised_when_nobody_takes_it():
    with pytest.raises(WorkerError, match=r"exit code 9.* over 2"):
        map_shards(die_at_two, [2, 3], workers=2)


def test_an_exception_is_raised_as_it_is():
    with pytest.raises(ValueError, match="7") as caught:
        map_shards(fail, [7], workers=2)
    assert any("in fail" in note for note in caught.value.__notes__)


def test_our_own_errors_keep_what_they_carry():
    with pytest.raises(DecodeError) as caught:
        map_shards(fail_to_decode, [7], workers=2)
    assert (caught.value.reason, caught.value.detail) == ("truncated", "7")


def test_an_exception_that_cannot_be_pickled_is_raised_as_its_text():
    with pytest.raises(RuntimeError, match="Unpicklable: 7 7"):
        map_shards(fail_badly, [7], workers=2)


def test_a_function_that_workers_cannot_find_is_an_error_and_no_death():
    with pytest.raises((pickle.PicklingError, AttributeError)):
        map_shards(lambda job: job, [1, 2], workers=2, on_crash=lambda job: -1)


def test_an_error_in_the_parent_stops_the_workers():
    def stop(phase, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        map_shards(double, range(100), workers=2, progress=stop)
    assert not [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def test_what_a_dead_worker_left_in_its_temporary_folder_goes_with_it():
    paths = map_shards(leave_a_file, [1, 2, 3], workers=1, on_crash=lambda job: "")
    assert paths[0].startswith(str(Path(tempfile.gettempdir()) / "lucidflux-worker-"))
    assert not [path for path in Path(tempfile.gettempdir()).glob("lucidflux-worker-*") if str(path) in paths[0] + paths[2]]


def test_trials_tell_death_from_an_answer():
    with Trials() as trials:
        assert trials.died(double, 1) is None
        assert trials.died(fail, 1) is None
        assert trials.died(die_at_two, 2) == 9
        assert trials.died(use_up_time, 1) == -signal.SIGXCPU
        assert trials.died(double, 1) is None


PARENT = """
import signal, sys, time
from pathlib import Path
from components.backends.engine import map_shards

def write_on(path):
    while True:
        with open(path, "a") as file:
            file.write("x")
        time.sleep(0.01)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets its background jobs ignore it
    map_shards(write_on, sys.argv[1:], workers=2)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent_however_it_ends(tmp_path, end):
    (tmp_path / "parent.py").write_text(PARENT)
    outputs = [tmp_path / "a", tmp_path / "b"]
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py"), *map(str, outputs)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        stderr=subprocess.DEVNULL,
    )
    _until(lambda: all(path.exists() for path in outputs))
    workers = [child for child in psutil.Process(parent.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    assert len(workers) == 2
    parent.send_signal(end)
    parent.wait(timeout=20)
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []
    _until(lambda: not list(tmp_path.glob("lucidflux-worker-*")))


def _until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_ray_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r"lucidflux\[ray\]"):
        map_shards(double, [1], workers=1, address="auto")
