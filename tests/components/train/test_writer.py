import threading

import pytest

from components.backends.storage import LocalStorage
from components.errors import StorageError, TrainError
from components.records import Manifest
from components.train import checkpoint
from components.train.copies import Copies
from components.train.job import CHECKPOINTS, Job
from components.train.writer import CheckpointWriter
from tests.components.train.test_checkpoint import state
from tests.components.train.test_loop import toy_loop
from tests.components.train.toy import toy_settings


def make_job(tmp_path, **settings):
    pairs = Manifest(kind="pairs", uri="pairs", sha256="p", rows=1)
    return Job(
        objects=str(tmp_path / "objects"),
        pairs=pairs,
        settings=toy_settings(**settings),
        base="",
        base_hashes={},
        folder=str(tmp_path / "job"),
    )


class Heard(list):
    """Takes events."""

    def __call__(self, event, **values):
        self.append({"event": event, **values})

    def of(self, kind):
        return [event for event in self if event["event"] == kind]


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def gate(monkeypatch):
    """Holds every write back until it is opened."""
    opened, write = threading.Event(), checkpoint.write

    def slow(*arguments):
        assert opened.wait(30)
        return write(*arguments)

    monkeypatch.setattr(checkpoint, "write", slow)
    yield opened
    opened.set()


def names(job):
    return sorted(path.name for path in (job.path / CHECKPOINTS).glob("*"))


def test_training_goes_on_while_one_is_written_and_the_end_waits(tmp_path, heard, gate):
    job = make_job(tmp_path)
    with CheckpointWriter(job, heard) as writer:
        writer.save(state(4))
        assert heard == []
        gate.set()
    assert names(job) == ["step-00000004"]
    assert [event["step"] for event in heard] == [4]


def test_the_next_one_waits_so_that_one_at_most_is_under_way(tmp_path, heard, gate):
    job = make_job(tmp_path)
    with CheckpointWriter(job, heard) as writer:
        writer.save(state(4))
        threading.Timer(0.3, gate.set).start()
        writer.save(state(8))
        assert [event["step"] for event in heard][:1] == [4]
    assert [event["step"] for event in heard] == [4, 8]
    assert heard[1]["held_seconds"] > 0.2


def test_a_run_stops_at_the_next_step_when_one_cannot_be_written(tmp_path, heard, monkeypatch):
    job = make_job(tmp_path)
    write = checkpoint.write

    def full(folder, given, identity):
        if given.step == 8:
            raise TrainError("No space.")
        return write(folder, given, identity)

    monkeypatch.setattr(checkpoint, "write", full)
    loop = toy_loop(job.settings)
    writer = CheckpointWriter(job, heard)

    def save(given):
        writer.save(given)
        writer._join()

    with pytest.raises(TrainError, match="No space"), writer:
        loop.run(save, writer.check)
    assert loop.step == 8
    assert names(job) == ["step-00000004"]


def test_a_failure_of_the_last_one_stops_the_run_too(tmp_path, heard):
    job = make_job(tmp_path)
    job.path.mkdir()
    (job.path / CHECKPOINTS).write_text("no folder")
    with pytest.raises(TrainError, match="Free space"), CheckpointWriter(job, heard) as writer:
        writer.save(state(12))


def test_another_reason_to_stop_is_not_hidden_and_the_write_is_finished(tmp_path, heard):
    job = make_job(tmp_path)

    def cancelled():
        with CheckpointWriter(job, heard) as writer:
            writer.save(state(4))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cancelled()
    assert names(job) == ["step-00000004"]


def test_what_an_asynchronous_write_holds_is_the_state_at_its_step(tmp_path, heard):
    job = make_job(tmp_path, checkpoint_every_steps=1, keep_checkpoints=12)
    loop, seen = toy_loop(job.settings), {}

    with CheckpointWriter(job, heard) as writer:

        def save(given):
            seen[given.step] = {name: weight.clone() for name, weight in given.weights.items()}
            writer.save(given)

        loop.run(save, writer.check)
    for step, weights in seen.items():
        found = checkpoint.read(job.path / CHECKPOINTS / f"step-{step:08d}", job.identity)
        assert len(found.losses) == step
        assert all(found.weights[name].equal(weight) for name, weight in weights.items())


def test_a_store_that_is_away_costs_a_note_and_is_asked_again(tmp_path, heard, monkeypatch):
    job = make_job(tmp_path, checkpoint_store=True)
    with CheckpointWriter(job, heard) as writer:
        with monkeypatch.context() as patched:

            def away(self, key, path):
                raise StorageError("away")

            patched.setattr(LocalStorage, "put_file", away)
            writer.save(state(4))
            writer._join()
        writer.save(state(8))
    assert [event["step"] for event in heard.of("checkpoint")] == [4, 8]
    assert "step 4 is on disk only" in heard.of("note")[0]["text"]
    assert [event["step"] for event in heard.of("copy")] == [8]
    assert Copies(LocalStorage(job.objects), job.identity).steps() == [4, 8]


def test_without_the_setting_nothing_goes_to_the_store(tmp_path, heard):
    job = make_job(tmp_path)
    with CheckpointWriter(job, heard) as writer:
        writer.save(state(4))
    assert not (tmp_path / "objects").exists()
