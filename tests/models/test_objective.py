import pytest
import torch

from models import objective, sampling
from models.lucidflux import Adapter, Condition


def test_mix_is_data_at_zero_and_noise_at_one():
    x0, x1 = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    torch.testing.assert_close(objective.mix(x0, x1, torch.tensor([0.0, 1.0])), torch.stack([x0[0], x1[1]]))


def test_the_target_carries_noise_back_to_data():
    x0, x1, t = torch.randn(1, 3, 4), torch.randn(1, 3, 4), torch.tensor([0.3])
    x_t = objective.mix(x0, x1, t)
    torch.testing.assert_close(x_t - 0.3 * objective.velocity_target(x0, x1), x0)


@pytest.mark.parametrize("kind", ["restoration", "balanced", "logit_normal", "uniform", "released"])
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


def test_logit_normal_has_the_asked_mean_and_width_and_is_balanced_by_default():
    n, u = torch.tensor([-1.0, 0.0, 1.0]), torch.zeros(3)
    assert torch.equal(objective.sample_time("logit_normal", n, u), objective.sample_time("balanced", n, u))
    torch.testing.assert_close(torch.logit(objective.sample_time("logit_normal", n, u, 0.5, 2.0)), 0.5 + 2 * n)


@pytest.mark.parametrize("rule", ["tokens", "released"])
def test_times_bend_by_the_size_as_the_samplers_schedule_does(rule):
    straight = torch.tensor(sampling.schedule(7, "none", height_px=512, width_px=768))
    bent = torch.tensor(sampling.schedule(7, rule, height_px=512, width_px=768))
    torch.testing.assert_close(objective.shift_time(straight, rule, 512, 768), bent)


def test_larger_crops_see_more_noise_and_the_ends_stay():
    t = torch.tensor([0.0, 0.5, 1.0])
    small, large = (objective.shift_time(t, "tokens", side, side) for side in (256, 1024))
    assert small[1] < large[1]
    assert (float(large[0]), float(large[2])) == (0.0, 1.0)
    assert torch.equal(objective.shift_time(t, "none", 1024, 1024), t)


def test_the_released_network_is_told_thousandths_and_others_the_time_itself():
    t = torch.tensor([0.12399, 0.9996, 0.5])
    torch.testing.assert_close(objective.told_time("released", t), torch.tensor([0.123, 0.999, 0.5]))
    assert torch.equal(objective.told_time("uniform", t), t)


def test_one_step_along_the_true_velocity_is_the_data():
    x0, x1, t = torch.randn(2, 3, 4), torch.randn(2, 3, 4), torch.tensor([0.3, 0.9])
    v = objective.velocity_target(x0, x1)
    torch.testing.assert_close(objective.one_step_x0(objective.mix(x0, x1, t), v, t), x0)
    assert objective.velocity_error(v, x0, x1).tolist() == [0, 0]


def test_the_pixel_error_sees_brightness_and_the_gradient_error_sees_edges():
    hq = torch.rand(2, 3, 8, 8)
    brighter, softer = hq + 0.25, torch.nn.functional.avg_pool2d(hq, 3, 1, 1)
    torch.testing.assert_close(objective.pixel_error(brighter, hq), torch.full((2,), 0.25))
    assert objective.gradient_error(brighter, hq).max() < 1e-6
    assert objective.gradient_error(softer, hq).min() > 0.1


def test_a_loss_on_pixels_reaches_the_latent_and_no_frozen_weight(small):
    z = torch.randn(1, 4, small.config.latent.token_values, requires_grad=True)
    objective.pixel_error(small.decode_through(z, 32, 32), torch.zeros(1, 3, 32, 32)).sum().backward()
    assert z.grad.abs().sum() > 0
    assert torch.equal(small.decode(z, 32, 32), small.decode_through(z, 32, 32).detach())
    assert all(parameter.grad is None for parameter in small.autoencoder.parameters())


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
