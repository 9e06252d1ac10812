"""What killed processes leave is deleted by the next one, and nothing that somebody still uses."""

import os
import subprocess
import sys

from components.backends import scratch, storage
from components.backends.storage import LocalStorage

DEAD = "import os, sys; from {module} import {name}; {code}; os.kill(os.getpid(), 9)"


def die(module, name, code):
    done = subprocess.run([sys.executable, "-c", DEAD.format(module=module, name=name, code=code)], check=False)
    assert done.returncode == -9


def test_folders_of_killed_processes_are_deleted_and_those_of_living_ones_stay(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    die("components.backends", "scratch", "scratch.make('shard'); scratch.make('tables')")
    assert len(list(tmp_path.iterdir())) == 2
    mine = scratch.make("shard")
    with scratch.scratch("shard") as folder:
        assert {path.name for path in tmp_path.iterdir()} >= {mine.name, folder.name}
        assert str(os.getpid()) in folder.name
    assert {path.name.split("-")[1] for path in tmp_path.iterdir()} == {"shard", "tables"}
    assert mine.is_dir()


def test_half_an_object_of_a_killed_process_is_deleted_and_that_of_a_living_one_stays(tmp_path):
    writing = f"LocalStorage({str(tmp_path)!r}).replacing('a/b').__enter__().write_bytes(b'half')"
    die("components.backends.storage", "LocalStorage", writing)
    store = LocalStorage(tmp_path)
    assert len(list((tmp_path / "a").iterdir())) == 1
    storage._sweep.cache_clear()  # as in a process that starts
    with store.replacing("a/c") as mine:
        mine.write_bytes(b"whole")
        assert list((tmp_path / "a").iterdir()) == [mine]
        with store.replacing("a/d") as other:
            other.write_bytes(b"too")
    assert list(store.list()) == ["a/c", "a/d"]
