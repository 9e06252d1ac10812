import pytest
import torch

from models import objective
from models.lucidflux import Adapter, Condition


def test_mix_is_data_at_zero_and_noise_at_one():
    x0, x1 = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    torch.testing.assert_close(objective.mix(x0, x1, torch.tensor([0.0, 1.0])), torch.stack([x0[0], x1[1]]))


def test_the_target_carries_noise_back_to_data():
    x0, x1, t = torch.randn(1, 3, 4), torch.randn(1, 3, 4), torch.tensor([0.3])
    x_t = objective.mix(x0, x1, t)
    torch.testing.assert_close(x_t - 0.3 * objective.velocity_target(x0, x1), x0)


@pytest.mark.parametrize("kind", ["restoration", "balanced", "uniform", "released"])
def test_times_stay_inside_the_unit_interval(kind):
    n, u = torch.randn(4096), torch.rand(4096)
    t = objective.sample_time(kind, n, u)
    assert t.min() >= 0
    assert t.max() <= 1


def test_three_quarters_of_restoration_times_are_uniform_in_their_span():
    u = torch.linspace(0, 0.9999, 10_000)
    t = objective.sample_time("restoration", torch.full_like(u, 9.0), u)
    low, high = objective.RESTORATION_SPAN
    inside = (t >= low) & (t <= high)
    assert inside.float().mean() == pytest.approx(0.75, abs=1e-3)
    assert t[inside].mean() == pytest.approx((low + high) / 2, abs=1e-3)


def test_released_times_lean_towards_noise():
    t = objective.sample_time("released", torch.zeros(1), torch.zeros(1))
    assert float(t) == pytest.approx(0.9592, abs=1e-4)


def test_an_unknown_time_distribution_is_refused():
    with pytest.raises(ValueError, match="restoration"):
        objective.sample_time("cosine", torch.zeros(1), torch.zeros(1))


def test_the_loss_reaches_every_trained_part_and_no_frozen_one(small):
    torch.manual_seed(1)
    adapter = Adapter.from_backbone(small.config, small)
    for parameter in adapter.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    image = torch.rand(2, 3, 32, 32)
    cond = Condition(image * 2 - 1, image * 2 - 1, small.features(image), 32, 32)
    x0 = small.encode(image * 2 - 1)
    loss = objective.flow_matching_loss(adapter, small, x0, torch.randn_like(x0), torch.tensor([0.2, 0.7]), cond)
    assert loss.shape == (2,)
    loss.mean().backward()
    for part in adapter.children():
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    assert all(p.grad is None for module in small.modules().values() for p in module.parameters())
