import pytest
import torch

from models.lucidflux import Adapter, Condition, prepare, velocity


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
