import pytest
import torch
from torch import nn

from components.errors import TrainError
from components.train import guards


def hashes(**values):
    return guards.tensor_hashes((name.replace("_", "."), torch.tensor([float(value)])) for name, value in values.items())


def test_a_changed_frozen_weight_is_refused():
    part = {"net": nn.Linear(2, 2)}
    before = guards.frozen_hash(part)
    guards.require_frozen(before, guards.frozen_hash(part))
    with torch.no_grad():
        part["net"].weight[0, 0] += 1e-7
    with pytest.raises(TrainError, match="frozen weight changed"):
        guards.require_frozen(before, guards.frozen_hash(part))


def test_a_run_in_which_nothing_moved_is_refused_after_one_step():
    same = hashes(a_w=1, b_w=1)
    with pytest.raises(TrainError, match="a, b did not"):
        guards.require_moved(same, same, (), steps=1)


def test_a_part_may_stand_still_for_a_few_steps_only():
    before, after = hashes(a_w=1, b_w=1), hashes(a_w=2, b_w=1)
    assert guards.require_moved(before, after, (), steps=9) == ["b.w"]
    with pytest.raises(TrainError, match="b did not"):
        guards.require_moved(before, after, (), steps=10)


def test_tensors_without_gradient_inside_a_moving_part_are_named():
    assert guards.require_moved(hashes(a_w=1, a_tail=1), hashes(a_w=2, a_tail=1), (), steps=100) == ["a.tail"]


def test_a_part_that_only_decays_did_not_learn():
    state = {
        "exp_avg_sq/a.w": torch.tensor([0.0, 1e-6]),
        "exp_avg_sq_row/b.w": torch.full((2,), 1e-30),
        "exp_avg_sq_col/b.w": torch.full((2,), 1e-30),
        "exp_avg/b.w": torch.ones(2),
    }
    idle = guards.without_gradient(state)
    assert idle == {"b.w"}
    with pytest.raises(TrainError, match="b did not"):
        guards.require_moved(hashes(a_w=1, b_w=1), hashes(a_w=2, b_w=0.9), idle, steps=10)
