import copy

import pytest
import torch

from models.conditioner import Moment
from models.lucidflux import Adapter, Condition, prepare, velocity
from models.modulation import PaperModulation


@pytest.fixture
def cond(small):
    torch.manual_seed(2)
    lq, lrp = torch.rand(3, 3, 32, 48), torch.rand(3, 3, 32, 48)
    return Condition(lq * 2 - 1, lrp * 2 - 1, small.features(lrp), 32, 48)


@pytest.fixture
def trained(small):
    torch.manual_seed(3)
    adapter = Adapter.from_backbone(small.config, small)
    for parameter in adapter.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return adapter.eval()


def ask(adapter, frozen, cond, x):
    return velocity(adapter, frozen, x, torch.tensor([0.1, 0.5, 0.9])[: len(x)], cond, 1.0)


@torch.no_grad()
def test_a_silent_start_leaves_the_backbone_exactly_as_it_was(small, cond):
    x = torch.randn(3, 6, 64)
    adapter = Adapter.from_backbone(small.config, small, silent=True)
    torch.testing.assert_close(ask(adapter, small, cond, x), ask(None, small, cond, x), atol=0, rtol=0)


@torch.no_grad()
def test_the_released_start_is_not_silent(small, cond):
    x = torch.randn(3, 6, 64)
    adapter = Adapter.from_backbone(small.config, small, silent=False)
    assert (ask(adapter, small, cond, x) - ask(None, small, cond, x)).abs().max() > 1e-3


@pytest.mark.parametrize("silent", [True, False])
def test_both_starts_pass_gradients_towards_the_branches(small, cond, silent):
    torch.manual_seed(1)
    adapter = Adapter.from_backbone(small.config, small, silent=silent)
    ask(adapter, small, cond, torch.randn(3, 6, 64)).square().mean().backward()
    first = adapter.modulation_lq.linear.weight.grad[32:] if silent else adapter.condition_lq.controlnet_blocks[0].weight.grad
    assert first.abs().max() > 0


def test_branches_start_as_copies_of_the_backbone(small):
    adapter = Adapter.from_backbone(small.config, small)
    ours = adapter.condition_lrp.double_blocks[1].attn.to_q.weight
    torch.testing.assert_close(ours, small.backbone.transformer_blocks[1].attn.to_q.weight)
    assert ours.data_ptr() != small.backbone.transformer_blocks[1].attn.to_q.weight.data_ptr()


@torch.no_grad()
def test_both_pictures_and_the_features_reach_the_velocity(small, cond, trained):
    x = torch.randn(3, 6, 64)
    base = ask(trained, small, cond, x)
    for change in (
        {"hint_lq_pm1": -cond.hint_lq_pm1},
        {"hint_lrp_pm1": -cond.hint_lrp_pm1},
        {"features_BSE": -cond.features_BSE},
    ):
        other = Condition(**{**vars(cond), **change})
        assert (ask(trained, small, other, x) - base).abs().max() > 1e-4


@torch.no_grad()
def test_a_picture_does_not_see_its_neighbours_in_the_batch(small, cond, trained):
    x = torch.randn(3, 6, 64)
    together = ask(trained, small, cond, x)
    first = Condition(cond.hint_lq_pm1[:1], cond.hint_lrp_pm1[:1], cond.features_BSE[:1], 32, 48)
    torch.testing.assert_close(ask(trained, small, first, x[:1]), together[:1], atol=1e-5, rtol=0)


@torch.no_grad()
def test_preparing_once_changes_nothing(small, cond, trained):
    x = torch.randn(3, 6, 64)
    torch.testing.assert_close(ask(trained, small, prepare(trained, small, cond), x), ask(trained, small, cond, x))


def test_an_adapter_comes_back_from_disk_as_it_was_saved(small, trained, tmp_path):
    trained.save(tmp_path / "adapter.safetensors", dtype=torch.float32)
    again = Adapter.load(tmp_path / "adapter.safetensors", small.config)
    for name, tensor in trained.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, atol=0, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("kind", [
    {"variant": "paper"},
    {"variant": "paper", "branches": "lq", "modulation": "layer"},
    {"branches": "lrp", "modulation": "time"},
    {"modulation": "none"},
    {"variant": "paper", "modulation": "none", "semantic": False},
    {"semantic": False},
])  # fmt: skip
def test_every_recipe_and_ablation_starts_silent_learns_and_comes_back_from_disk(small, cond, kind, tmp_path):
    network = small.config.model_copy(update={"conditioner": small.config.conditioner.model_copy(update=kind)})
    torch.manual_seed(1)
    x = torch.randn(3, 6, 64)
    adapter = Adapter.from_backbone(network, small, silent=True)
    assert all(sample.abs().max() == 0 for sample in control_of(adapter, small, cond, x))
    with torch.enable_grad():
        ask(adapter, small, cond, x).square().mean().backward()
    assert any(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in adapter.parameters())
    for parameter in adapter.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    adapter.save(tmp_path / "adapter.safetensors", dtype=torch.float32)
    again = Adapter.load(tmp_path / "adapter.safetensors", small.config)
    assert again.network.conditioner == network.conditioner
    torch.testing.assert_close(ask(again, small, cond, x), ask(adapter.eval(), small, cond, x), atol=0, rtol=0)


def control_of(adapter, frozen, cond, x):
    prompt = frozen.prompt.tokens_SD.expand(len(x), -1, -1)
    moment = Moment(torch.tensor([0.1, 0.5, 0.9]), torch.ones(3), frozen.prompt.pooled_D.expand(len(x), -1))
    return adapter.control(x, prepare(adapter, frozen, cond), prompt, moment)


@torch.no_grad()
def test_the_papers_branches_do_not_see_the_noisy_latent(small, cond):
    kind = small.config.conditioner.model_copy(update={"variant": "paper"})
    adapter = Adapter(small.config.model_copy(update={"conditioner": kind})).eval()
    first, second = (torch.stack(control_of(adapter, small, cond, torch.randn(3, 6, 64))) for _ in range(2))
    assert torch.equal(first, second)
    assert prepare(adapter, small, cond).hint_lq_BTD.shape == (3, 6, 32)


def test_the_papers_modulation_is_alpha_phi_plus_beta_of_time_and_depth(small):
    modulation = PaperModulation(32, layers=4)
    phi, t = torch.randn(2, 5, 32), torch.tensor([0.25, 0.5])
    alpha, beta = modulation.factors(t, 2)
    torch.testing.assert_close(modulation(phi, t, 2), alpha[:, None] * phi + beta[:, None])
    assert not torch.equal(modulation.factors(t, 1)[0], alpha)
    assert not torch.equal(alpha[0], alpha[1])


@torch.no_grad()
def test_a_bfloat16_network_takes_and_gives_float32(small, cond):
    frozen = copy.deepcopy(small)
    for module in frozen.modules().values():
        module.bfloat16()
    adapter = Adapter.from_backbone(small.config, small, silent=False).bfloat16().eval()
    v = ask(adapter, frozen, cond, torch.randn(3, 6, 64))
    assert v.dtype == torch.float32
    assert frozen.decode(frozen.encode(cond.hint_lq_pm1), 32, 48).dtype == torch.float32
    assert frozen.features(frozen.lrp(torch.rand(1, 3, 32, 48))).isfinite().all()
