import dataclasses

import pytest
import torch

from components.backends import manifest
from components.train.batches import Batches
from components.train.data import HQ, NAMES, LiveFeatures
from components.train.estimate import count_flops
from components.train.meter import Meter
from components.train.objective import Objective
from components.train.pixels import PairPixels
from components.train.place import Place
from components.train.settings import TrainSettings
from models.bundle import load_frozen
from models.lucidflux import Adapter
from models.objective import flow_matching_loss

FP32 = TrainSettings(precision="fp32", time_sampling="uniform", processes=1)
ALONE = Place(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def parts(small_bundle):
    frozen = load_frozen(small_bundle)
    torch.manual_seed(0)
    return frozen, Adapter.from_backbone(frozen.config, frozen, silent=False)


@pytest.fixture
def batch_of(parts, small_store, small_pairs):
    def make(settings, samples=range(4)):
        rows = manifest.rows(small_store, small_pairs)
        names = (*NAMES, HQ) if settings.sees_hq else NAMES
        live = LiveFeatures(PairPixels(small_store, rows), parts[0], names=names)
        return Batches([row["id"] for row in rows], live, settings, torch.device("cpu")).make(samples)

    return make


def test_by_default_the_loss_is_the_velocitys_error_alone(parts, batch_of):
    frozen, adapter = parts
    batch = batch_of(FP32)
    expected = flow_matching_loss(adapter, frozen, batch.x0_BTD, batch.noise_BTD, batch.t_B, batch.condition, FP32.guidance)
    assert batch.hq_u8 is None
    assert torch.equal(Objective(adapter, frozen, FP32)(batch), expected)


def test_terms_on_pixels_add_to_it_and_train_the_adapter(parts, batch_of):
    frozen, adapter = parts
    both = FP32.model_copy(update={"pixel_weight": 0.5, "gradient_weight": 2.0})
    batch, meter = batch_of(both), Meter(ALONE)
    objective = Objective(adapter, frozen, both, meter)
    loss_B = objective(batch)
    told = meter.take()
    expected = told["loss_velocity"] + 0.5 * told["loss_pixel"] + 2 * told["loss_gradient"]
    assert float(loss_B.detach().mean()) == pytest.approx(expected, rel=1e-5)
    pixels = 0.5 * told["loss_pixel"] + 2 * told["loss_gradient"]
    assert pixels > 0.01
    weight = adapter.connector.redux_up.weight
    (alone,) = torch.autograd.grad(Objective(adapter, frozen, FP32)(batch).mean(), [weight])
    (together,) = torch.autograd.grad(objective(batch).mean(), [weight])
    assert not torch.allclose(alone, together)
    assert all(parameter.grad is None for module in frozen.modules().values() for parameter in module.parameters())


def test_a_perfect_velocity_leaves_only_the_autoencoders_own_error(parts, batch_of, monkeypatch):
    frozen, adapter = parts
    pixel = FP32.model_copy(update={"pixel_weight": 1.0})
    batch = batch_of(pixel)
    monkeypatch.setattr(Objective, "_velocity", lambda self, adapter, x_t, batch: batch.noise_BTD - batch.x0_BTD)
    loss_B = Objective(adapter, frozen, pixel)(batch)
    hq_pm1 = batch.hq_u8.float() / 127.5 - 1
    own_B = (frozen.decode(batch.x0_BTD, *hq_pm1.shape[-2:]) - hq_pm1).abs().mean(dim=(1, 2, 3))
    torch.testing.assert_close(loss_B, own_B, atol=1e-4, rtol=1e-4)


def test_the_released_network_hears_a_floored_time(parts, batch_of):
    released = FP32.model_copy(update={"time_sampling": "released"})
    frozen, adapter = parts
    batch = batch_of(released)
    floored = dataclasses.replace(batch, t_B=(batch.t_B * 1000).floor() / 1000)
    objective = Objective(adapter, frozen, released)
    x_t = torch.randn_like(batch.x0_BTD)
    assert torch.equal(objective._velocity(adapter, x_t, batch), objective._velocity(adapter, x_t, floored))
    assert not torch.equal(batch.t_B, floored.t_B)


def test_counting_the_arithmetic_changes_nothing_and_grows_with_the_pairs(parts, batch_of):
    frozen, adapter = parts
    batch, meter = batch_of(FP32), Meter(ALONE)
    objective = Objective(adapter, frozen, FP32, meter)
    before = objective(batch)
    meter.take()
    flops = count_flops(objective, batch)
    assert flops == 4 * count_flops(objective, batch_of(FP32, range(1))) > 0
    assert meter.sums == {}
    assert torch.equal(objective(batch), before)
    assert all(parameter.grad is None for parameter in adapter.parameters())
