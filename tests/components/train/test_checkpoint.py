import resource

import pytest
import torch

from components.errors import TrainError
from components.train import checkpoint, resume
from components.train.checkpoint import Retention, State


def state(step):
    return State(
        step=step,
        weights={"a.w": torch.full((2, 3), float(step))},
        average={"a.w": torch.zeros(2, 3)},
        optimizer={"exp_avg/a.w": torch.ones(2, 3), "step/a.w": torch.tensor(float(step))},
        losses=[0.5] * step,
    )


@pytest.fixture
def refusals():
    return []


@pytest.fixture
def newest(tmp_path, refusals):
    return lambda identity="run": resume.newest(tmp_path, identity, lambda name, why: refusals.append((name, why)))


def test_what_is_written_comes_back_whole(tmp_path, newest):
    checkpoint.write(tmp_path, state(3), "run")
    found = newest()
    assert (found.step, found.losses) == (3, [0.5] * 3)
    assert torch.equal(found.weights["a.w"], state(3).weights["a.w"])
    assert torch.equal(found.average["a.w"], torch.zeros(2, 3))
    assert set(found.optimizer) == {"exp_avg/a.w", "step/a.w"}
    assert found.optimizer["step/a.w"].dim() == 0


@pytest.mark.parametrize(
    ("retention", "kept"),
    [(Retention(2, 0), [5, 6]), (Retention(1, 0), [6]), (Retention(1, 3), [3, 6]), (Retention(2, 2), [2, 4, 5, 6])],
)
def test_the_newest_stay_and_those_kept_for_good(tmp_path, newest, retention, kept):
    for step in range(1, 7):
        checkpoint.write(tmp_path, state(step), "run")
        checkpoint.prune(tmp_path, retention, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"step-{step:08d}" for step in kept]
    assert newest().step == 6


def test_one_that_was_passed_over_does_not_push_out_what_is_written_after_it(tmp_path, newest):
    for step in (4, 12):
        path = checkpoint.write(tmp_path, state(step), "run")
    (path / checkpoint.STATE_FILE).write_bytes(b"damaged")
    assert newest().step == 4
    checkpoint.write(tmp_path, state(8), "run")
    checkpoint.prune(tmp_path, Retention(1, 0), 8)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000008"]


def test_a_snapshot_does_not_follow_the_training():
    live = state(2)
    copied = checkpoint.snapshot(live)
    live.weights["a.w"].zero_()
    live.average["a.w"].fill_(7)
    live.losses.append(1.0)
    assert torch.equal(copied.weights["a.w"], state(2).weights["a.w"])
    assert torch.equal(copied.average["a.w"], state(2).average["a.w"])
    assert copied.losses == [0.5, 0.5]


@pytest.mark.parametrize("spoil", ["flip", "cut", "gone", "label"])
def test_a_damaged_newest_falls_back_with_a_word(tmp_path, newest, refusals, spoil):
    checkpoint.write(tmp_path, state(1), "run")
    path = checkpoint.write(tmp_path, state(2), "run")
    file = path / (checkpoint.LABEL_FILE if spoil == "label" else checkpoint.STATE_FILE)
    data = bytearray(file.read_bytes())
    if spoil == "flip":
        data[-1] ^= 1
    if spoil == "gone":
        file.unlink()
    else:
        file.write_bytes(data if spoil == "flip" else data[: len(data) // 2])
    assert newest().step == 1
    assert [name for name, _ in refusals] == ["step-00000002"]


def test_a_half_written_one_is_never_seen_and_is_swept_away(tmp_path, newest):
    half = tmp_path / ".step-00000009.1.partial"
    half.mkdir()
    (half / checkpoint.STATE_FILE).write_bytes(b"half")
    assert newest() is None
    checkpoint.write(tmp_path, state(1), "run")
    assert not half.exists()


def test_one_of_another_run_is_not_used(tmp_path, newest, refusals):
    checkpoint.write(tmp_path, state(1), "other")
    assert newest() is None
    assert "another run" in refusals[0][1] or "belongs to run" in refusals[0][1]


def test_a_folder_that_takes_nothing_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainError, match="Free space"):
        checkpoint.write(tmp_path / "file", state(1), "run")


def test_a_file_that_the_disk_does_not_take_leaves_the_one_before(tmp_path, newest):
    checkpoint.write(tmp_path, state(1), "run")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        with pytest.raises(TrainError, match="Free space"):
            checkpoint.write(tmp_path, state(2), "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert newest().step == 1
