import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.errors import SettingsError, TrainError
from components.train import launch
from components.train.events import parse
from components.train.nodes import NODE_RANK, node_rank, require_consistent
from components.train.settings import TrainSettings

PLAIN = TrainSettings(engine="plain", processes=1, micro_batch_size=1, accumulation=1)


def script(monkeypatch, tmp_path, text):
    """Have the launch run some Python in place of the worker."""
    monkeypatch.setattr(launch, "command", lambda job_file, settings: [sys.executable, "-c", text])
    job = tmp_path / "job.json"
    job.write_text("{}")
    return job


def test_events_are_forwarded_and_other_lines_are_not(monkeypatch, tmp_path):
    job = script(monkeypatch, tmp_path, 'print("noise"); print(\'{"event": "step", "step": 1}\'); print("[1]")')
    heard = []
    launch.launch(job, PLAIN, heard.append)
    assert heard == [{"event": "step", "step": 1}]


def test_a_failure_gives_the_reason_that_the_worker_gave(monkeypatch, tmp_path):
    job = script(monkeypatch, tmp_path, 'print(\'{"event": "error", "message": "Too hot."}\'); raise SystemExit(1)')
    with pytest.raises(TrainError, match=r"^Too hot\.$"):
        launch.launch(job, PLAIN, lambda event: None)


def test_a_silent_death_quotes_the_log(monkeypatch, tmp_path):
    text = "import os, sys; print('last words', file=sys.stderr, flush=True); os.kill(os.getpid(), 9)"
    with pytest.raises(TrainError, match=r"signal 9[\s\S]*last words"):
        launch.launch(script(monkeypatch, tmp_path, text), PLAIN, lambda event: None)


def test_a_callback_that_raises_ends_the_process(monkeypatch, tmp_path):
    text = 'import os, time; print(\'{"event": "phase", "pid": %d}\' % os.getpid(), flush=True); time.sleep(60)'
    job = script(monkeypatch, tmp_path, text)
    pids = []

    def refuse(event):
        pids.append(event["pid"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch.launch(job, PLAIN, refuse)
    assert not alive(pids[0])


def test_a_process_ends_with_its_parent():
    child = "import sys, time; from components.train.launcher import end_with_parent as e; e(int(sys.argv[1])); time.sleep(60)"
    parent = (
        "import os, subprocess, sys, time; "
        f"p = subprocess.Popen([sys.executable, '-c', {child!r}, str(os.getpid())]); print(p.pid, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, cwd=launch.REPOSITORY)
    pid = int(process.stdout.readline())
    time.sleep(0.3)
    assert alive(pid)
    process.kill()
    process.wait()
    process.stdout.close()
    wait_for_end(pid)


def test_only_objects_with_an_event_are_events():
    assert parse(b'{"event": "x"}') == {"event": "x"}
    for line in (b"", b"x", b"[1]", b'{"loss": 1}', b'"event"'):
        assert parse(line) is None


def test_zero2_goes_through_torchrun_and_plain_does_not(tmp_path):
    zero = launch.command(tmp_path, TrainSettings(processes=3))
    assert zero[2] == "components.train.launcher"
    assert zero[zero.index("--nproc_per_node") + 1] == "3"
    assert "components.train.launcher" not in launch.command(tmp_path, PLAIN)


@pytest.fixture
def nodes(monkeypatch):
    for name in NODE_RANK:
        monkeypatch.delenv(name, raising=False)
    return TrainSettings(processes=16, nodes=2, rendezvous="head:29400")


@pytest.mark.parametrize(("variable", "rank", "host"), [("LUCIDFLUX_NODE_RANK", "0", "1"), ("SLURM_NODEID", "1", "0")])
def test_machines_meet_where_they_are_told_to_and_the_first_is_the_host(monkeypatch, tmp_path, nodes, variable, rank, host):
    monkeypatch.setenv(variable, rank)
    words = launch.command(tmp_path, nodes)
    assert words[words.index("--nnodes") + 1] == "2"
    assert words[words.index("--nproc_per_node") + 1] == "8"
    assert {"--rdzv_backend=c10d", "--rdzv_endpoint=head:29400", f"--rdzv_conf=is_host={host}"} < set(words)
    assert "--standalone" not in words
    assert node_rank(nodes) == int(rank)


@pytest.mark.parametrize("said", [None, "2", "first"])
def test_a_machine_without_a_number_of_its_own_is_told_how_to_get_one(monkeypatch, nodes, said):
    if said:
        monkeypatch.setenv("LUCIDFLUX_NODE_RANK", said)
    with pytest.raises(SettingsError, match="LUCIDFLUX_NODE_RANK"):
        node_rank(nodes)


def test_one_machine_needs_no_number(monkeypatch):
    monkeypatch.setenv("SLURM_NODEID", "7")
    assert node_rank(TrainSettings()) == 0


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"processes": 15}, "train.nodes"), ({"rendezvous": ""}, "train.rendezvous"), ({"rendezvous": "head"}, "host:port")],
)
def test_machines_that_cannot_meet_are_refused_before_anything_starts(nodes, wrong, named):
    with pytest.raises(SettingsError, match=named):
        require_consistent(nodes.model_copy(update=wrong))


def test_cores_are_shared_evenly_unless_threads_are_set(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert launch.environment(TrainSettings(processes=4))["OMP_NUM_THREADS"] == "2"
    assert launch.environment(TrainSettings(processes=16))["OMP_NUM_THREADS"] == "1"
    assert launch.environment(TrainSettings(processes=8, nodes=4))["OMP_NUM_THREADS"] == "4"
    assert launch.environment(TrainSettings(processes=4, threads_per_process=5))["OMP_NUM_THREADS"] == "5"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for_end(*pids: int, seconds: float = 15) -> None:
    until = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < until, f"{pids} still live"
        time.sleep(0.05)
