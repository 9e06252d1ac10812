import pytest
import torch
from safetensors.torch import save_file

from components.errors import TrainError
from components.train import best
from components.train.judge import HISTORY_FILE, History, Score, Validated, best_of, notes_of
from tests.components.train.toy import toy_settings

PSNR, PIQE = "val.heavy.psnr", "val.heavy.piqe"


def validated(step, value, name=PSNR):
    return Validated(step=step, scores={name: Score(mean=value, lower=value - 1, upper=value + 1, n=3)})


def history(folder, *values, done=100, **settings):
    judge = {"keep_best": True, "validate_every_steps": 10, **settings}
    made = History(folder, toy_settings(steps=100, **judge), done=done)
    for number, value in enumerate(values):
        made.add(validated(10 * (number + 1), value))
    return made


def test_the_best_follows_the_direction_of_its_metric_and_the_earlier_of_equals_stays():
    scored = [(10, 3.0), (20, 5.0), (30, 5.0), (40, 4.0)]
    assert best_of([validated(*one) for one in scored], PSNR).step == 20
    assert best_of([validated(*one, PIQE) for one in scored], PIQE).step == 10
    assert best_of([validated(*one) for one in scored], PIQE) is None


def test_a_resumed_run_remembers_up_to_its_checkpoint(tmp_path):
    history(tmp_path, 1.0, 3.0, 2.0)
    again = history(tmp_path, done=20)
    assert [one.step for one in again.validated] == [10, 20]
    assert again.best.step == 20
    assert again.has(20)
    assert not again.has(30)


def test_a_history_of_another_kind_is_made_again(tmp_path):
    (tmp_path / HISTORY_FILE).write_text('{"cut')
    assert history(tmp_path).validated == []


def test_patience_counts_validations_since_the_best(tmp_path):
    assert not history(tmp_path / "a", done=0, early_stop_patience=2).exhausted
    for name, values, ended in (
        ("b", (1.0, 3.0, 2.0), False),
        ("c", (1.0, 3.0, 2.0, 3.0), True),
        ("d", (1.0, 3.0, 2.0, 4.0), False),
    ):
        (tmp_path / name).mkdir()
        assert history(tmp_path / name, *values, early_stop_patience=2).exhausted is ended
    (tmp_path / "e").mkdir()
    assert not history(tmp_path / "e", 3.0, 2.0, 1.0, 0.0).exhausted  # no patience is endless


def test_what_was_decided_is_said(tmp_path):
    made = history(tmp_path, 20.0, 21.5, 21.0, early_stop_patience=1)
    kept, ended = notes_of(made, made.settings, ended_at=30)
    assert kept == ("these weights are those of the best validation, val.heavy.psnr = 21.5 (20.5 to 22.5, n = 3) after update 20")
    assert "ended after update 30 of 100: 1 validations were no better" in ended
    assert notes_of(made, toy_settings(), ended_at=100) == ()


class Weights:
    """Saves one number, as an adapter saves its tensors."""

    def __init__(self, value):
        self.value = value

    def save(self, path):
        save_file({"weight": torch.tensor([float(self.value)])}, path)


def test_weights_that_a_resumed_run_could_ask_for_stay(tmp_path):
    for step in (4, 8):
        (tmp_path / "checkpoints" / f"step-{step:08d}").mkdir(parents=True)
    for step in (1, 3, 6, 9):
        best.save(tmp_path, Weights(step), step)
    best.drop_old(tmp_path)
    assert [path.name for path in sorted(tmp_path.glob("best-*"))] == [best.path_of(tmp_path, step).name for step in (3, 6, 9)]
    weights = {"weight": torch.zeros(1)}
    best.take(tmp_path, 6, weights)
    best.take(tmp_path, 6, weights)  # killed before the run was over, it takes them again
    assert weights["weight"].item() == 6
    best.drop_all(tmp_path)
    with pytest.raises(TrainError, match="are gone"):
        best.take(tmp_path, 6, weights)
