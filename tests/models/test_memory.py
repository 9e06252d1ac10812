import copy
import importlib.util
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode, is_traceable_wrapper_subclass
from torch.utils._pytree import tree_leaves

from models import bundle, streamed
from models.config import TINY, AutoencoderConfig, NetworkConfig, PriorConfig, SwinIRConfig
from models.footprint import MODES, ON_PROCESSOR, estimate, fitting, network_weights, sizes_of
from models.lucidflux import Adapter
from models.memory import place
from models.pipeline import Pipeline, Sampler
from models.quantised import chosen_layers

SIDE = 128
STEPS = 2
GIB = 2**30
needs_torchao = pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="needs the extra 'low'")
EACH = [pytest.param(mode, marks=needs_torchao) if mode == "low" else mode for mode in MODES]
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


def restore(frozen, adapter, side=SIDE):
    torch.manual_seed(1)
    lq = torch.rand(1, 3, side, side).to(frozen.device)
    sampler = Sampler(steps=STEPS, tile_px=side, overlap_px=0, codec_tile_px=side, codec_overlap_px=0, mode="exact")
    return Pipeline(frozen, adapter, sampler).restore(lq, [7]).restored_01


def tensors_of(frozen):
    return [tensor for module in frozen.modules().values() for tensor in (*module.parameters(), *module.buffers())]


def plain_tensors(tensor):
    if not is_traceable_wrapper_subclass(tensor):
        return [tensor]
    return [plain for name in tensor.__tensor_flatten__()[0] for plain in plain_tensors(getattr(tensor, name))]


class Watch(TorchDispatchMode):
    """Bytes of living tensors that are no weights, at most, by the part at work."""

    def __init__(self, placement, weights):
        super().__init__()
        self.placement, self.peaks, self.live, self.alive = placement, {}, 0, set()
        self.known = {plain.untyped_storage()._cdata for tensor in weights for plain in plain_tensors(tensor)}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.device.type != "meta" and not is_traceable_wrapper_subclass(tensor):
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


@pytest.mark.parametrize("mode", EACH)
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


def test_streamed_weights_give_the_same_picture_to_the_last_bit(parts):
    pictures = [restore(*placed(parts, mode)[:2]) for mode in ("full", "offload")]
    assert torch.equal(*pictures)


@needs_torchao
def test_eight_bits_change_the_picture_by_less_than_two_levels(parts):
    full, low = placed(parts, "full"), placed(parts, "low")
    difference = (restore(*full[:2]) - restore(*low[:2])).abs().max()
    assert 0 < low[2].change < 0.01
    assert 0 < difference < 2 / 255
    assert "differ" in low[2].text()


def test_weights_are_counted_to_the_byte(parts):
    frozen, adapter = parts
    for part, module in (frozen.modules() | {"adapter": adapter}).items():
        assert sum(sizes_of(part, MID, 4).values()) == sum(map(streamed.tensor_bytes, module.state_dict().values()))


@needs_torchao
def test_quantised_weights_are_counted_to_the_byte(parts):
    frozen, _, placement = placed(parts, "low")
    assert placement.units["network"].bytes + placement.stream.window == network_weights(MID, "low", ON_PROCESSOR)
    assert len(list(chosen_layers(frozen.backbone, "int8"))) == 4 * 12 + 8 * 5


def test_the_released_network_restores_1024_px_in_8_gb():
    """Goal: 8e9 bytes. By offloading in any case; `low` with the autoencoder's tiles at half the side."""
    needs = {mode: estimate(NetworkConfig(), mode, 1024, 1024, codec_px=512).peak.total for mode in MODES}
    assert needs["offload"] < needs["low"] < 8e9 < needs["full"]
    assert fitting(NetworkConfig(), int(8e9), 1024, 1024, codec_px=512, exact_only=True).mode == "offload"
    assert fitting(NetworkConfig(), 40 * GIB, 1024, 1024).mode == "full"
    assert fitting(NetworkConfig(), GIB, 1024, 1024) is None


def test_without_torchao_the_low_mode_names_the_extra(parts, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchao.quantization", None)
    with pytest.raises(ValueError, match=r"lucidflux\[low\]"):
        placed(parts, "low")


def test_parts_are_placed_once_in_a_mode_that_exists(parts):
    frozen, adapter, _ = placed(parts, "full")
    with pytest.raises(ValueError, match="load the bundle again"):
        place(frozen, adapter, "offload", "cpu")
    with pytest.raises(ValueError, match="Unknown memory mode"):
        placed(parts, "tiny")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("mode", EACH)
def test_each_mode_stays_below_its_estimate_on_a_gpu(parts, mode):
    """Allocated bytes, beside a megabyte for the libraries' own; the workspaces of cuDNN and cuBLAS are not counted."""
    reference = restore(*placed(parts, "full", "cuda")[:2], side=512)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    frozen, adapter, placement = placed(parts, mode, "cuda")
    picture = restore(frozen, adapter, side=512)
    used = torch.cuda.max_memory_allocated() - before
    assert used <= estimate(MID, mode, 512, 512, steps=STEPS).peak.total + 2**20
    assert placement.ledger.peak <= used
    assert (picture - reference).abs().max() <= (0.02 if mode == "low" else 0)
