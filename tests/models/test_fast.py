"""Mode `fast`: what it may skip, and what it must not mix up."""

import copy
import importlib.util

import pytest
import torch

from models.exact import Exact
from models.fast import Fast, quantise
from models.lucidflux import Adapter, Condition

TIMES = [1.0, 0.9999, 0.9998, 0.5, 0.0]


@pytest.fixture(scope="module")
def adapter(small):
    torch.manual_seed(3)
    adapter = Adapter.from_backbone(small.config, small, silent=False)
    for parameter in adapter.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return adapter.eval()


@pytest.fixture
def cond(small):
    torch.manual_seed(1)
    lq, lrp = torch.rand(2, 3, 32, 48), torch.rand(2, 3, 32, 48)
    return Condition(lq * 2 - 1, lrp * 2 - 1, small.features(lrp), 32, 48)


def one(cond, row):
    tensors = (cond.hint_lq_pm1, cond.hint_lrp_pm1, cond.features_BSE)
    return Condition(*(tensor[row : row + 1] for tensor in tensors), cond.height_px, cond.width_px)


@pytest.mark.parametrize("bare", [False, True])
def test_a_threshold_of_zero_is_the_exact_mode(small, adapter, cond, bare):
    trained = None if bare else adapter
    fast, exact = Fast(trained, small, TIMES, 1.0, threshold=0), Exact(trained, small, TIMES, 1.0)
    ours, theirs, x = fast.prepare(cond), exact.prepare(cond), torch.randn(2, 6, 64)
    for step in range(4):
        torch.testing.assert_close(fast.velocity(x, step, ours), exact.velocity(x, step, theirs), atol=1e-6, rtol=0)
    assert ours.skipped == [0, 0]


def test_a_large_threshold_runs_the_first_step_alone_and_every_draw_anew(small, adapter, cond):
    fast, x = Fast(adapter, small, TIMES, 1.0, threshold=1e9), torch.randn(2, 6, 64)
    prepared = fast.prepare(cond)
    first = fast.velocity(x, 0, prepared)
    assert all(fast.velocity(x, step, prepared).isfinite().all() for step in (1, 2, 3))
    assert prepared.skipped == [3, 3]
    assert torch.equal(fast.velocity(x, 0, prepared), first)
    assert prepared.skipped == [3, 3]


def test_each_picture_of_a_batch_decides_for_itself(small, adapter, cond):
    """The second picture's latent jumps at step 1, the first one's stays."""
    fast = Fast(adapter, small, TIMES, 1.0, threshold=0.2)
    start, later = torch.randn(2, 6, 64), torch.randn(2, 6, 64)
    later[0] = start[0]
    together, alone = fast.prepare(cond), [fast.prepare(one(cond, row)) for row in (0, 1)]
    for step, x in enumerate((start, later, later)):
        v = fast.velocity(x, step, together)
        for row in (0, 1):
            torch.testing.assert_close(fast.velocity(x[row : row + 1], step, alone[row]), v[row : row + 1], atol=1e-5, rtol=0)
    assert together.skipped == [2, 1]
    assert [prepared.skipped for prepared in alone] == [[2], [1]]


def test_a_negative_threshold_and_unknown_weights_are_named(small):
    with pytest.raises(ValueError, match="at least 0"):
        Fast(None, small, TIMES, 1.0, threshold=-0.1)
    with pytest.raises(ValueError, match="int8 or fp8"):
        quantise(small.backbone, "int3")


@pytest.mark.e2e
@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_weights_of_eight_bits_stay_close(small, adapter, cond, kind):
    if importlib.util.find_spec("torchao") is None:
        pytest.skip("torchao is not installed: pip install -e '.[fast]'")
    frozen, x = copy.deepcopy(small), torch.randn(2, 6, 64)
    quantise(frozen.backbone, kind)
    fast, exact = Fast(adapter, frozen, TIMES, 1.0, threshold=0), Exact(adapter, small, TIMES, 1.0)
    ours, theirs = fast.velocity(x, 1, fast.prepare(cond)), exact.velocity(x, 1, exact.prepare(cond))
    assert 0 < (ours - theirs).abs().mean() < 0.1 * theirs.abs().mean()
