import contextlib
import copy
import gc
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models import bundle, streamed
from models.config import TINY, AutoencoderConfig, NetworkConfig, PriorConfig, SwinIRConfig
from models.footprint import MODES, ON_PROCESSOR, Precision, estimate, fitting, network_weights, sizes_of
from models.lucidflux import Adapter
from models.memory import place
from models.pipeline import Pipeline, Sampler
from models.quantised import GROUP, QuantisedLinear

SIDE = 128
STEPS = 2
GIB = 2**30
MID = NetworkConfig(
    backbone=TINY.backbone.model_copy(update={"hidden": 256, "axes": (4, 30, 30), "double_blocks": 4, "single_blocks": 8}),
    encoder=TINY.encoder,
    autoencoder=AutoencoderConfig(widths=(32, 32, 32, 32), blocks=1),
    prior=PriorConfig(swinir=SwinIRConfig(embed=24, depths=(2,), heads=(2,))),
    prompt_tokens=16,
)


@pytest.fixture(scope="module")
def parts():
    torch.manual_seed(0)
    frozen = bundle.build(MID)
    adapter = Adapter(MID)
    for module in (*frozen.modules().values(), adapter):
        module.eval().requires_grad_(False)
    return frozen, adapter


def placed(parts, mode, device="cpu"):
    frozen, adapter = copy.deepcopy(parts)
    return frozen, adapter, place(frozen, adapter, mode, device)


def restore(frozen, adapter, side=SIDE, mode="exact"):
    torch.manual_seed(1)
    lq = torch.rand(1, 3, side, side).to(frozen.device)
    sampler = Sampler(steps=STEPS, tile_px=side, overlap_px=0, codec_tile_px=side, codec_overlap_px=0, mode=mode)
    return Pipeline(frozen, adapter, sampler).restore(lq, [7]).restored_01


def tensors_of(frozen):
    return [tensor for module in frozen.modules().values() for tensor in (*module.parameters(), *module.buffers())]


class Watch(TorchDispatchMode):
    """Bytes of living tensors that are no weights, at most, by the part at work."""

    def __init__(self, placement, weights):
        super().__init__()
        self.placement, self.peaks, self.live, self.alive = placement, {}, 0, set()
        self.known = {tensor.untyped_storage()._cdata for tensor in weights}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.device.type != "meta":
                self.see(tensor.untyped_storage())
        part = self.placement.active[-1] if self.placement.active else "between"
        self.peaks[part] = max(self.peaks.get(part, 0), self.live + self.placement.ledger.total)
        return result

    def see(self, storage):
        key, size = storage._cdata, storage.nbytes()
        if key not in self.known and key not in self.alive:
            self.alive.add(key)
            self.live += size
            weakref.finalize(storage, self.gone, key, size)

    def gone(self, key, size):
        self.alive.discard(key)
        self.live -= size


@pytest.mark.parametrize("mode", MODES)
def test_each_stage_stays_below_its_estimate_and_uses_no_weight_that_is_away(parts, mode, monkeypatch):
    monkeypatch.setattr(streamed, "parked", lambda tensor: tensor.to("meta"))  # computing with it would raise
    frozen, adapter, placement = placed(parts, mode)
    units = [*placement.units.values(), *(placement.stream.units.values() if placement.stream else ())]
    homes = [home for unit in units for _, _, home in unit.homes]
    with Watch(placement, homes or [*tensors_of(frozen), *adapter.parameters()]) as watch:
        restore(frozen, adapter)
    needed = estimate(MID, mode, SIDE, SIDE, precision=ON_PROCESSOR, steps=STEPS)
    for stage in needed.stages:
        assert 0.3 * stage.total < watch.peaks[stage.part] <= stage.total
    assert max(watch.peaks.values()) <= needed.peak.total
    assert placement.ledger.peak <= max(stage.weights for stage in needed.stages)


@pytest.mark.parametrize("mode", ["plain", "exact"])
def test_streamed_weights_give_the_same_picture_to_the_last_bit(parts, mode, monkeypatch):
    monkeypatch.setattr(streamed, "parked", lambda tensor: tensor.to("meta"))
    pictures = [restore(*placed(parts, memory)[:2], mode=mode) for memory in ("full", "offload")]
    assert torch.equal(*pictures)


@pytest.mark.parametrize(("weights", "levels", "change"), [("int8", 0.5, 0.005), ("int4", 6, 0.08)])
def test_quantised_weights_change_the_picture_by_a_few_levels_and_say_so(parts, weights, levels, change):
    """Root mean square, in levels of 255, of a network of random weights."""
    frozen, adapter = copy.deepcopy(parts)
    placement = place(frozen, adapter, "low", "cpu", weights=weights)
    difference = 255 * (restore(frozen, adapter) - restore(*placed(parts, "full")[:2])).square().mean().sqrt()
    assert change / 2 < placement.change < change
    assert 0 < difference < levels
    assert "differ" in placement.text()
    held = placement.units["network"].bytes + placement.stream.window
    assert held == network_weights(MID, "low", Precision(4, weights))


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_a_quantised_layer_is_off_by_at_most_half_a_step(weights):
    torch.manual_seed(2)
    layer = torch.nn.Linear(2 * GROUP, 3)
    layer.weight.data[1] = 0
    quantised = QuantisedLinear(layer, weights)
    error = (quantised.whole() - layer.weight).abs().unflatten(1, (-1, GROUP)).amax(2)
    assert (error <= 0.5001 * quantised.scale.flatten(1)).all()
    x = torch.randn(2, 2 * GROUP)
    assert torch.equal(quantised(x), torch.nn.functional.linear(x, quantised.whole(), layer.bias))


def test_weights_are_counted_to_the_byte(parts):
    frozen, adapter = parts
    for part, module in (frozen.modules() | {"adapter": adapter}).items():
        assert sum(sizes_of(part, MID, 4).values()) == sum(map(streamed.tensor_bytes, module.state_dict().values()))


def test_the_released_network_restores_1024_px_in_8_gb():
    """Goal: 8e9 bytes. By offloading in any case; `low` with the autoencoder's tiles at half the side."""
    needs = {mode: estimate(NetworkConfig(), mode, 1024, 1024, codec_px=512).peak.total for mode in MODES}
    assert needs["offload"] < needs["low"] < 8e9 < needs["full"]
    assert fitting(NetworkConfig(), int(8e9), 1024, 1024, codec_px=512, exact_only=True).mode == "offload"
    assert fitting(NetworkConfig(), 40 * GIB, 1024, 1024).mode == "full"
    assert fitting(NetworkConfig(), GIB, 1024, 1024) is None


def test_a_part_for_which_there_is_no_room_stays_where_it_was(monkeypatch):
    layer, ledger = torch.nn.Linear(4, 4), streamed.Ledger()
    unit = streamed.Unit("prior", [layer], torch.device("cpu"), ledger)
    with monkeypatch.context() as full:
        full.setattr(torch.Tensor, "to", lambda *_, **__: (_ for _ in ()).throw(torch.cuda.OutOfMemoryError("full")))
        with pytest.raises(torch.cuda.OutOfMemoryError):
            unit.load()
    assert (unit.here, ledger.total) == (False, 0)
    unit.load()
    assert ledger.total == unit.bytes == 80


def test_parts_are_placed_once_in_a_mode_that_exists(parts):
    frozen, adapter, _ = placed(parts, "full")
    with pytest.raises(ValueError, match="load the bundle again"):
        place(frozen, adapter, "offload", "cpu")
    with pytest.raises(ValueError, match="Unknown memory mode"):
        placed(parts, "tiny")


@contextlib.contextmanager
def metered(placement, peaks):
    """Most bytes that torch had allocated on the GPU while each part was at work."""
    using = placement.using

    def close():
        part = placement.active[-1] if placement.active else "between"
        peaks[part] = max(peaks.get(part, 0), torch.cuda.max_memory_allocated())
        torch.cuda.reset_peak_memory_stats()

    @contextlib.contextmanager
    def watched(part):
        close()
        with using(part):
            yield
            close()

    placement.using = watched
    yield
    close()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("mode", MODES)
def test_each_stage_stays_below_its_estimate_on_a_gpu(parts, mode):
    """cuDNN's work spaces come from torch's allocator too, so convolutions get half as much again."""
    side, peaks = 512, {}
    expected = restore(*placed(parts, "full", "cuda")[:2], side=side)  # also loads the libraries' own memory
    gc.collect()
    before = torch.cuda.memory_allocated()
    frozen, adapter, placement = placed(parts, mode, "cuda")
    with metered(placement, peaks):
        picture = restore(frozen, adapter, side=side)
    assert (picture - expected).abs().max() <= (0.15 if mode == "low" else 0)
    assert placement.ledger.peak <= max(peaks.values()) - before
    for stage in estimate(MID, mode, side, side, steps=STEPS).stages:
        room = 1.5 if stage.part in {"prior", "autoencoder"} else 1.0
        assert peaks[stage.part] - before <= stage.weights + room * stage.working + 2**24
