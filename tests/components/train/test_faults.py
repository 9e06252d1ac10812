"""Real runs on a full disk, with a store that goes away, with a damaged shard and with numbers that are none."""

import json
import resource

import pytest

from components.backends import manifest
from components.backends.storage import LocalStorage, open_storage
from components.errors import TrainError
from components.train.checkpoint import steps_in
from components.train.job import ADAPTER_FILE, BAD_BATCH_FILE, CHECKPOINTS
from components.train.order import pair_of
from tests import faulty_s3
from tests.components.train.test_run import SETTINGS, Run, descendants, in_its_own_process, kill, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PLAIN = SETTINGS.model_copy(update={"engine": "plain", "keep_checkpoints": 9})


@pytest.fixture(scope="module")
def straight(small_store, small_pairs, small_bundle, tmp_path_factory):
    return Run(small_store, small_pairs, small_bundle, tmp_path_factory.mktemp("straight"), PLAIN)


@pytest.fixture(autouse=True)
def slow(monkeypatch):
    monkeypatch.setenv("SLOW_S", "0.05")


def elsewhere(run, store, settings):
    """The same run with its objects in another store."""
    for key in run.store.list():
        if not key.startswith("checkpoints/"):
            store.put(key, run.store.read(key))
    moved = object.__new__(Run)
    moved.__dict__ = {**run.__dict__, "store": store, "settings": settings}
    return moved


def again(run, work):
    return Run(run.store, run.pairs, run.base, work, run.settings)


def checkpoints(work):
    (folder,) = work.glob(f"*/{CHECKPOINTS}")
    return sorted(steps_in(folder))


def reason(process):
    """What a run that stops says."""
    return until(process, "error")["message"]


def test_a_full_disk_stops_the_run_and_keeps_the_checkpoints_before(straight, tmp_path):
    process = in_its_own_process(straight, tmp_path)
    until(process, "checkpoint", 6)
    for pid in descendants(process.pid):
        hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1 << 14, hard))
    assert "Free space; the same command goes on" in reason(process)
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert checkpoints(tmp_path)[0] == 6
    assert not list(tmp_path.glob("*/checkpoints/.*"))
    assert not list(tmp_path.glob(f"*/{ADAPTER_FILE}"))
    resumed = again(straight, tmp_path)
    assert resumed.outcome.resumed_from_step >= 6
    assert resumed.outcome.sha256 == straight.outcome.sha256


@pytest.fixture
def bucket(s3, s3_server, straight, monkeypatch):
    """The run in a bucket, and the layer before it that can refuse everything."""
    monkeypatch.setattr(faulty_s3, "KINDS", ("503",))
    settings = straight.settings.model_copy(update={"checkpoint_store": True, "keep_checkpoints": 2})
    return elsewhere(straight, open_storage(f"s3://{s3}/prefix"), settings), s3_server[1]


def test_another_machine_goes_on_from_the_store(bucket, straight, tmp_path):
    run, _ = bucket
    process = in_its_own_process(run, tmp_path / "first")
    until(process, "copy", 12)
    kill(process)
    resumed = again(run, tmp_path / "second")
    assert resumed.outcome.resumed_from_step >= 12
    assert resumed.outcome.sha256 == straight.outcome.sha256
    steps = {key.split("/")[3] for key in run.store.list("checkpoints/runs/")}
    assert steps == {"step-00000018", "step-00000024"}


def test_a_store_that_goes_away_does_not_stop_the_steps_and_the_same_command_ends_the_run(
    bucket, straight, tmp_path, monkeypatch
):
    run, layer = bucket
    monkeypatch.setenv("SLOW_S", "0.3")
    process = in_its_own_process(run, tmp_path)
    until(process, "copy", 6)
    monkeypatch.setattr(layer, "share", 1.0)
    assert "is on disk only" in until(process, "note")["text"]
    monkeypatch.setattr(layer, "share", 0.0)
    until(process, "copy", 18)
    monkeypatch.setattr(layer, "share", 1.0)
    until(process, "done")
    said = process.communicate(timeout=120)[1].decode()
    assert process.returncode == 1
    assert "Run the same command again" in said.splitlines()[-1]
    monkeypatch.setattr(layer, "share", 0.0)
    ended = again(run, tmp_path)
    assert ended.of("step") == []
    assert ended.outcome.sha256 == straight.outcome.sha256
    assert run.store.exists(ended.outcome.checkpoint)


def test_a_damaged_shard_names_the_pair_and_once_it_is_back_the_run_goes_on(straight, tmp_path):
    live = straight.settings.model_copy(update={"cache": "none"})
    run = elsewhere(straight, LocalStorage(tmp_path / "objects"), live)
    process = in_its_own_process(run, tmp_path / "work")
    until(process, "checkpoint", 6)
    kill(process)
    path = run.store.fetch("shards/one.tar")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 4])
    with pytest.raises(TrainError, match="Cannot make the pair") as caught:
        again(run, tmp_path / "work")
    ids = {row["id"][:12] for row in manifest.rows(run.store, run.pairs)}
    assert any(name in str(caught.value) for name in ids)
    assert "shards/one.tar" in str(caught.value)
    path.write_bytes(whole)
    resumed = again(run, tmp_path / "work")
    assert resumed.outcome.resumed_from_step >= 6
    assert resumed.outcome.sha256 == straight.outcome.sha256


def test_a_number_that_is_none_in_one_of_two_processes_stops_both_with_the_pair_on_disk(straight, tmp_path, monkeypatch):
    two = SETTINGS.model_copy(update={"processes": 2, "accumulation": 1})
    sample = 9 * two.batch_size + two.micro_batch_size  # the second process takes it, in update 10
    monkeypatch.setenv("SPOILT_SAMPLE", str(sample))
    process = in_its_own_process(straight, tmp_path, two)
    said = reason(process)
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert "not finite at step 10 for 1 pairs" in said
    (bad,) = tmp_path.glob(f"*/{BAD_BATCH_FILE}")
    row = manifest.rows(straight.store, straight.pairs)[pair_of(0, sample, straight.pairs.rows)]
    assert json.loads(bad.read_text())["pairs"] == [row["id"]]
    assert checkpoints(tmp_path) == [6]
