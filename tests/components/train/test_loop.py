import pytest
import torch

from components.train.engine import BadLoss, PlainEngine, learning_rate
from components.train.loop import Loop, ends
from components.train.order import Spread
from tests.components.train.toy import Toy, ToyBatch, toy_batch, toy_settings


def toy_loop(settings, make=toy_batch, **resumed):
    toy = Toy()
    if state := resumed.pop("state", None):
        with torch.no_grad():
            for name, weight in toy.named_parameters():
                weight.copy_(state.weights[name])
        resumed = {"step": state.step, "losses": list(state.losses), "average": {n: t.clone() for n, t in state.average.items()}}
    engine = PlainEngine(toy, settings)
    if state:
        engine.load_optimizer_state(state.optimizer)
    spread = Spread(settings.micro_batch_size, settings.accumulation, settings.processes, 0)
    return Loop(engine, dict(toy.named_parameters()), settings, spread, make, **resumed)


def copied(state):
    """A state as it would be read back from a file."""
    return type(state)(
        step=state.step,
        losses=list(state.losses),
        **{group: {n: t.clone() for n, t in getattr(state, group).items()} for group in ("weights", "average", "optimizer")},
    )


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_a_resumed_run_ends_with_the_same_bits(optimizer):
    settings = toy_settings(optimizer=optimizer)
    saved = []
    straight = toy_loop(settings)
    straight.run(lambda state: saved.append(copied(state)))
    resumed = toy_loop(settings, state=saved[0])
    assert resumed.step == 4
    resumed.run(lambda state: None)
    for name, weight in straight.weights.items():
        assert torch.equal(weight, resumed.weights[name])
        assert torch.equal(straight.average[name], resumed.average[name])
    assert straight.losses == resumed.losses


def test_it_learns_and_saves_at_the_interval_and_at_the_end():
    steps = []
    loop = toy_loop(toy_settings(steps=90, checkpoint_every_steps=40))
    loop.run(lambda state: steps.append(state.step))
    assert steps == [40, 80, 90]
    assert ends(loop.losses)[1] < ends(loop.losses)[0]


def test_accumulation_equals_one_large_batch():
    many, one = toy_loop(toy_settings(ema_decay=0)), toy_loop(toy_settings(micro_batch_size=8, accumulation=1, ema_decay=0))
    for loop in (many, one):
        loop.run(lambda state: None)
    for name, weight in many.weights.items():
        torch.testing.assert_close(weight, one.weights[name])


def test_a_loss_that_is_not_finite_names_its_pairs_and_changes_nothing():
    def spoilt(samples):
        batch = toy_batch(samples)
        if 21 in samples:
            batch.x[samples.index(21)] = float("nan")
        return batch

    loop = toy_loop(toy_settings(ema_decay=0), make=spoilt)
    saved = []
    with pytest.raises(BadLoss) as caught:
        loop.run(lambda state: saved.append(copied(state)))
    assert caught.value.pairs == ("pair-21",)
    assert loop.step == 2
    assert saved == []


def test_a_gradient_that_is_not_finite_stops_too():
    class Steep(Toy):
        def forward(self, batch):
            return (self.second(self.first(batch.x)).sum(1) * 0).sqrt()  # 0 whose slope is infinite

    settings = toy_settings()
    engine = PlainEngine(Steep(), settings)
    with pytest.raises(BadLoss, match="gradient"):
        engine.update([ToyBatch(("a",), torch.ones(1, 6))], 1e-3)


def test_averaged_weights_take_the_place_of_the_last_ones():
    loop = toy_loop(toy_settings(steps=3))
    loop.run(lambda state: None)
    mean = {name: value.clone() for name, value in loop.average.items()}
    assert any(not torch.equal(mean[name], weight) for name, weight in loop.weights.items())
    loop.settle()
    assert all(torch.equal(mean[name], weight) for name, weight in loop.weights.items())


def test_learning_rate_warms_up_and_falls():
    settings = toy_settings(steps=100, warmup_steps=9, schedule="cosine", learning_rate=1.0)
    assert learning_rate(settings, 0) == pytest.approx(0.1)
    assert learning_rate(settings, 9) == pytest.approx(0.98, abs=0.01)
    assert learning_rate(settings, 99) == pytest.approx(0.03, abs=0.01)
    assert learning_rate(toy_settings(learning_rate=0.5), 7) == 0.5
