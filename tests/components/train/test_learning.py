"""That the network learns, and which of its tensors can."""

import pytest
import torch

from components.backends import manifest
from components.train.batches import Batches
from components.train.data import LiveFeatures
from components.train.engine import PlainEngine
from components.train.objective import Objective
from components.train.pixels import PairPixels
from components.train.settings import TrainSettings
from models.bundle import load_frozen
from models.lucidflux import Adapter

SETTINGS = TrainSettings(
    engine="plain", processes=1, micro_batch_size=4, accumulation=1, optimizer="adamw", precision="fp32", weight_decay=0.0
)


@pytest.fixture(scope="module")
def frozen(small_bundle):
    made = load_frozen(small_bundle)
    # the small bundle's is zero, which lets no gradient through to the weights that it is multiplied with
    made.prompt.pooled_D.data.normal_()
    return made


@pytest.fixture(scope="module")
def batch(small_store, small_pairs, frozen):
    rows = manifest.rows(small_store, small_pairs)
    live = LiveFeatures(PairPixels(small_store, rows), frozen)
    return Batches([row["id"] for row in rows], live, SETTINGS, torch.device("cpu")).make(range(4))


def objective(frozen, variant="released"):
    conditioner = frozen.config.conditioner.model_copy(update={"variant": variant})
    torch.manual_seed(0)
    adapter = Adapter.from_backbone(frozen.config.model_copy(update={"conditioner": conditioner}), frozen).train()
    return Objective(adapter, frozen, SETTINGS)


@pytest.mark.e2e
def test_one_batch_can_be_learned_by_heart(frozen, batch):
    engine = PlainEngine(objective(frozen), SETTINGS)
    losses = [engine.update([batch], 1e-2).loss for _ in range(150)]
    # the frozen last layer normalises what it gets: a random one cannot give every velocity
    assert losses[-1] < 0.2 * losses[0]
    assert max(losses[100:]) < 1.02 * losses[-1]


@pytest.mark.parametrize("variant", ["released", "paper"])
def test_a_gradient_reaches_every_tensor_but_those_that_feed_nothing(frozen, batch, variant):
    made = objective(frozen, variant)
    torch.manual_seed(1)
    with torch.no_grad():
        # layers that start at zero stop gradients in the first step
        for parameter in made.adapter.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    made(batch).mean().backward()
    idle = {name for name, weight in made.adapter.named_parameters() if weight.grad is None or not weight.grad.abs().max() > 0}
    # the text stream of a branch's last block feeds nothing: neither its queries nor what comes after the attention
    ends = ("attn.add_q_proj", "attn.to_add_out", "ff_context.net.0.proj", "ff_context.net.2")
    tail = {f"{end}.{kind}" for end in ends for kind in ("weight", "bias")} | {"attn.norm_added_q.weight"}
    assert idle == {f"condition_{branch}.double_blocks.1.{name}" for branch in ("lq", "lrp") for name in tail}
