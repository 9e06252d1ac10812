"""Everything that mode `exact` saves, against the plain path."""

import itertools

import pytest
import torch

from models.attention import using
from models.exact import Exact
from models.field import Kernels, Plain, build_field
from models.lucidflux import Adapter, Condition

TIMES = [1.0, 0.9, 0.55, 0.2, 0.0]
KINDS = {
    "released": {},
    "paper": {"variant": "paper"},
    "one branch": {"branches": "lrp"},
    "no semantics": {"semantic": False},
    "time alone": {"modulation": "time"},
    "layer alone": {"modulation": "layer"},
    "paper, layer alone": {"variant": "paper", "modulation": "layer"},
    "no modulation": {"modulation": "none"},
}


def condition(frozen, batch, height, width, seed=0):
    torch.manual_seed(seed)
    lq, lrp = torch.rand(batch, 3, height, width), torch.rand(batch, 3, height, width)
    return Condition(lq * 2 - 1, lrp * 2 - 1, frozen.features(lrp), height, width)


def trained(frozen, kind):
    torch.manual_seed(3)
    network = frozen.config.model_copy(update={"conditioner": frozen.config.conditioner.model_copy(update=kind)})
    adapter = Adapter.from_backbone(network, frozen, silent=False)
    for parameter in adapter.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return adapter.eval()


def largest_difference(plain, other, cond, x):
    a, b = plain.prepare(cond), other.prepare(cond)
    return max(
        float((plain.velocity(x, step, a) - other.velocity(x, step, b)).abs().max()) for step in range(len(plain.times) - 1)
    )


@pytest.mark.parametrize("options", [
    {},
    {"fused": True},
    {"attention": "math"},
    pytest.param({"compiler": "aot_eager"}, marks=pytest.mark.e2e),  # the compiler's import alone takes seconds
], ids=str)  # fmt: skip
@torch.no_grad()
def test_every_step_is_the_plain_one_with_released_weights(golden_frozen, golden_adapter, options):
    x = torch.randn(2, 32, 64)
    exact = Exact(golden_adapter, golden_frozen, TIMES, 4.0, **options)
    plain = Plain(golden_adapter, golden_frozen, TIMES, 4.0)
    assert largest_difference(plain, exact, condition(golden_frozen, 2, 128, 64), x) <= 1e-5


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_every_recipe_and_ablation_is_the_plain_one(small, kind):
    adapter = trained(small, KINDS[kind])
    x = torch.randn(2, 6, 64)
    exact, plain = (build_field(mode, adapter, small, TIMES, 1.0) for mode in ("exact", "plain"))
    assert largest_difference(plain, exact, condition(small, 2, 32, 48), x) <= 1e-5


@torch.no_grad()
def test_the_bare_backbone_is_the_plain_one(small):
    exact, plain = Exact(None, small, TIMES, 1.0), Plain(None, small, TIMES, 1.0)
    assert largest_difference(plain, exact, condition(small, 1, 32, 48), torch.randn(1, 6, 64)) <= 1e-5


@torch.no_grad()
def test_28_steps_end_at_the_plain_latent(golden_frozen, golden_adapter):
    times = [1 - index / 28 for index in range(29)]
    cond, finals = condition(golden_frozen, 1, 128, 64), []
    for mode in ("plain", "exact"):
        field = build_field(mode, golden_adapter, golden_frozen, times, 4.0)
        x = torch.randn(1, 32, 64, generator=torch.Generator().manual_seed(1))
        prepared = field.prepare(cond)
        for step, (t, t_next) in enumerate(itertools.pairwise(times)):
            x = x + (t_next - t) * field.velocity(x, step, prepared)
        finals.append(x)
    assert (finals[0] - finals[1]).abs().max() <= 1e-4


@torch.no_grad()
def test_one_field_serves_pictures_of_several_sizes_in_any_order(small):
    adapter = trained(small, {})
    exact, plain = Exact(adapter, small, TIMES, 1.0), Plain(adapter, small, TIMES, 1.0)
    conds = [condition(small, 1, 32, 48, seed=1), condition(small, 1, 64, 16, seed=2), condition(small, 3, 32, 48, seed=3)]
    xs = [torch.randn(1, 6, 64), torch.randn(1, 4, 64), torch.randn(3, 6, 64)]
    ours, theirs = [exact.prepare(cond) for cond in conds], [plain.prepare(cond) for cond in conds]
    for step in (2, 0, 3, 1):
        for which in (1, 0, 2):
            a, b = exact.velocity(xs[which], step, ours[which]), plain.velocity(xs[which], step, theirs[which])
            torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_picture_comes_out_alike_alone_and_in_a_batch(small):
    exact, cond, x = Exact(trained(small, {}), small, TIMES, 1.0), condition(small, 3, 32, 48), torch.randn(3, 6, 64)
    together = exact.velocity(x, 1, exact.prepare(cond))
    first = Condition(cond.hint_lq_pm1[1:2], cond.hint_lrp_pm1[1:2], cond.features_BSE[1:2], 32, 48)
    torch.testing.assert_close(together[1:2], exact.velocity(x[1:2], 1, exact.prepare(first)), atol=1e-5, rtol=0)


def test_a_step_reads_none_of_the_weights_that_only_make_tables(small, monkeypatch):
    exact, cond = Exact(trained(small, {}), small, TIMES, 1.0), condition(small, 1, 32, 48)
    prepared = exact.prepare(cond)

    def refuse(*arguments):
        raise AssertionError("computed again")

    backbone, branch = small.backbone, exact.adapter.condition_lq
    for module in (
        *(block.norm1.linear for block in (*backbone.transformer_blocks, *branch.double_blocks)),
        *(block.norm.linear for block in backbone.single_transformer_blocks),
        backbone.time_text_embed,
        backbone.norm_out.linear,
        backbone.context_embedder,
        branch.txt_in,
        branch.input_hint_block,
        branch.double_blocks[-1].ff_context,
        branch.double_blocks[-1].attn.to_add_out,
        exact.adapter.modulation_lq.linear,
    ):
        monkeypatch.setattr(module, "forward", refuse)
    assert exact.velocity(torch.randn(1, 6, 64), 0, prepared).isfinite().all()


def test_kernels_are_refused_where_they_have_no_place(small):
    with pytest.raises(ValueError, match="belong to 'exact'"):
        build_field("plain", None, small, TIMES, 1.0, Kernels(fused=True))
    assert build_field("exact", None, small, TIMES, 1.0, Kernels(fused=True, attention="math")).attention == "math"


def test_unknown_modes_and_kernels_are_named(small):
    with pytest.raises(ValueError, match="plain, exact"):
        build_field("exakt", None, small, TIMES, 1.0)
    with pytest.raises(ValueError, match="choose auto"), using("flush"):
        pass
