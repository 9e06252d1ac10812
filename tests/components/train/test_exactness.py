"""Real runs of two processes, interrupted and spread in every way, beside one that was left alone."""

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from components.train.order import pair_of
from components.train.run import train
from tests.components.train import watched_worker
from tests.components.train.test_launch import wait_for_end
from tests.components.train.test_run import SETTINGS, Run, descendants, in_its_own_process, kill, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

STEPS, EVERY = 50, 10
TWO = SETTINGS.model_copy(update={"steps": STEPS, "processes": 2, "accumulation": 1, "checkpoint_every_steps": EVERY})
ONE = TWO.model_copy(update={"processes": 1, "accumulation": 2})


@pytest.fixture(scope="module")
def straight(small_store, small_pairs, small_bundle, tmp_path_factory):
    return Run(small_store, small_pairs, small_bundle, tmp_path_factory.mktemp("straight"), TWO)


@pytest.fixture
def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def again(run, work, settings=TWO):
    return Run(run.store, run.pairs, run.base, work, settings)


def test_killed_after_twenty_steps_and_run_again_it_ends_with_the_same_bits(straight, tmp_path, monkeypatch):
    monkeypatch.setenv("SLOW_S", "0.05")
    process = in_its_own_process(straight, tmp_path)
    until(process, "checkpoint", 20)
    assert len(descendants(process.pid)) >= 3  # torchrun and two workers
    kill(process)
    resumed = again(straight, tmp_path)
    assert 20 <= resumed.outcome.resumed_from_step < STEPS
    assert resumed.outcome.sha256 == straight.outcome.sha256
    assert resumed.losses == straight.losses[resumed.outcome.resumed_from_step :]


def test_a_killed_worker_ends_all_and_the_next_call_goes_on(straight, tmp_path, monkeypatch):
    monkeypatch.setenv("SLOW_S", "0.05")
    process = in_its_own_process(straight, tmp_path)
    until(process, "checkpoint", 20)
    children = descendants(process.pid)
    workers = [pid for pid in children if b"watched_worker" in _words(pid) and b"launcher" not in _words(pid)]
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    said = process.communicate(timeout=120)[1].decode()
    assert process.returncode == 1
    assert "TrainError" in said
    wait_for_end(*children)
    resumed = again(straight, tmp_path)
    assert resumed.outcome.resumed_from_step >= 20
    assert resumed.outcome.sha256 == straight.outcome.sha256


def _words(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_two_processes_then_one_then_two_see_every_sample_once_and_stay_with_the_straight_run(straight, tmp_path, monkeypatch):
    monkeypatch.setenv("SLOW_S", "0.05")
    losses, logs, starts = {}, [], []
    for number, (settings, last) in enumerate(((TWO, 20), (ONE, 40), (TWO, STEPS))):
        logs.append(tmp_path / f"samples-{number}")
        logs[-1].mkdir()
        monkeypatch.setenv("SAMPLE_LOG", str(logs[-1]))
        process = in_its_own_process(straight, tmp_path / "work", settings)
        starts.append(_follow(process, losses, last))
        kill(process)
    assert [losses[step] for step in range(1, STEPS + 1)] == pytest.approx(straight.losses, rel=1e-4)
    assert starts[0] == 0
    assert 20 <= starts[1] < 40 <= starts[2] < STEPS
    total = STEPS * TWO.batch_size
    firsts = [start * TWO.batch_size for start in [*starts, STEPS]]
    kept = [
        sample
        for number, log in enumerate(logs)
        for sample in watched_worker.samples(log, total)
        if firsts[number] <= sample < firsts[number + 1]
    ]
    assert sorted(kept) == list(range(total))
    rows = straight.pairs.rows
    for turn in range(total // rows):
        assert len({pair_of(0, sample, rows) for sample in range(turn * rows, (turn + 1) * rows)}) == rows


def _follow(process, losses, last):
    """Read losses until the checkpoint of a step is there, or the end; gives the step at which it began."""
    start = 0
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "step":
            losses[event["step"]] = event["loss"]
        if event["event"] == "note" and "going on" in event["text"]:
            start = event["step"]
        if event["event"] == ("done" if last == STEPS else "checkpoint") and event["step"] >= last:
            break
    return start


def test_two_processes_of_zero2_equal_one_without_it(straight, tmp_path):
    plain = again(straight, tmp_path, ONE.model_copy(update={"engine": "plain"}))
    assert plain.losses == pytest.approx(straight.losses, rel=1e-4)


def test_two_machines_with_one_process_each_give_the_adapter_of_one_with_two(straight, tmp_path, monkeypatch, free_port):
    apart = TWO.model_copy(update={"nodes": 2, "rendezvous": f"127.0.0.1:{free_port}"})
    processes = []
    for rank in ("1", "0"):
        monkeypatch.setenv("LUCIDFLUX_NODE_RANK", rank)
        processes.append(in_its_own_process(straight, tmp_path, apart))
    ended = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], [said[-2000:] for _, said in ended]
    for rank in ("0", "1"):
        monkeypatch.setenv("LUCIDFLUX_NODE_RANK", rank)
        found = train(straight.store, straight.pairs, apart, base=straight.base, work=tmp_path)
        assert found.sha256 == straight.outcome.sha256


def test_machines_with_different_jobs_are_told_so(straight, tmp_path, monkeypatch, free_port):
    apart = TWO.model_copy(update={"nodes": 2, "rendezvous": f"127.0.0.1:{free_port}"})
    processes = []
    for rank, seed in (("1", 0), ("0", 1)):
        monkeypatch.setenv("LUCIDFLUX_NODE_RANK", rank)
        processes.append(in_its_own_process(straight, tmp_path, apart.model_copy(update={"seed": seed})))
    for process in processes:
        said = process.communicate(timeout=240)[1].decode()
        assert process.returncode == 1
        assert "same training job on every machine" in said
