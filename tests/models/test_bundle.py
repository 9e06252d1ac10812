import pytest
import torch
from safetensors.torch import load_file, save_file

from models import bundle
from models.config import CONFIG_FILE, NetworkConfig


@pytest.fixture
def directory(small, tmp_path):
    small.config.save(tmp_path)
    for name, module in small.modules().items():
        bundle.write_weights(tmp_path / bundle.FROZEN_FILES[name], module)
    return tmp_path


def test_a_bundle_comes_back_frozen_and_as_fp32(small, directory):
    parts = bundle.load_frozen(directory)
    assert parts.config == small.config
    for name, module in parts.modules().items():
        assert not module.training
        for key, tensor in module.state_dict().items():
            source = small.modules()[name].state_dict()[key]
            assert tensor.dtype == source.dtype
            torch.testing.assert_close(tensor, source.half().float() if source.is_floating_point() else source)
        assert not any(p.requires_grad for p in module.parameters())


@pytest.mark.parametrize("name", [CONFIG_FILE, *bundle.FROZEN_FILES.values()])
def test_a_missing_file_is_named(directory, name):
    (directory / name).unlink()
    with pytest.raises(ValueError, match=name):
        bundle.load_frozen(directory)
    with pytest.raises(ValueError, match=name):
        bundle.hashes(directory)


def test_the_network_loads_in_half_the_memory_and_the_released_precision(directory):
    parts = bundle.load_frozen(directory, dtype=torch.bfloat16)
    kinds = {name: {tensor.dtype for tensor in module.parameters()} for name, module in parts.modules().items()}
    for name, kind in kinds.items():
        assert kind == {torch.float32 if name in bundle.SINGLE_PRECISION else torch.bfloat16}, name
    assert not any(tensor.is_meta for module in parts.modules().values() for tensor in (*module.parameters(), *module.buffers()))


def test_a_bundle_may_say_that_it_brings_no_starts(small, directory):
    small.config.model_copy(update={"starts": ()}).save(directory)
    for name in ("connector", "hint"):
        (directory / bundle.FROZEN_FILES[name]).unlink()
    assert bundle.load_frozen(directory).connector is None
    assert "hint.safetensors" not in bundle.hashes(directory)


def test_a_weight_that_is_not_finite_is_named(directory):
    path = directory / "connector.safetensors"
    save_file(load_file(path) | {"redux_up.bias": torch.full((192,), torch.nan, dtype=torch.float16)}, path)
    with pytest.raises(ValueError, match=r"redux_up\.bias holds numbers that are not finite"):
        bundle.load_frozen(directory)


def test_a_cut_file_is_refused(directory):
    path = directory / "prior.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="no readable safetensors"):
        bundle.load_frozen(directory)


def test_a_missing_tensor_is_refused_rather_than_left_at_random(directory):
    path = directory / "connector.safetensors"
    state = load_file(path)
    del state["redux_up.bias"]
    save_file(state, path)
    with pytest.raises(ValueError, match=r"lacks \['redux_up.bias'\]"):
        bundle.load_frozen(directory)


def test_a_tensor_of_another_shape_is_refused(directory):
    path = directory / "connector.safetensors"
    save_file(load_file(path) | {"redux_up.bias": torch.zeros(5)}, path)
    with pytest.raises(ValueError, match=r"is \[5\], expected \[192\]"):
        bundle.load_frozen(directory)


def test_an_unknown_size_in_the_config_is_refused(directory):
    path = directory / CONFIG_FILE
    path.write_text(path.read_text().replace('"hidden"', '"hiden"', 1))
    with pytest.raises(ValueError, match="hiden"):
        NetworkConfig.load(directory)


def test_the_hash_of_a_part_follows_its_bytes(small, directory):
    before = bundle.hashes(directory)
    bundle.write_weights(directory / "prior.safetensors", small.prior, dtype=torch.float32)
    after = bundle.hashes(directory)
    assert {name for name in before if before[name] != after[name]} == {"prior.safetensors"}


def test_a_picture_off_the_token_grid_is_refused(small):
    with pytest.raises(ValueError, match="multiples of 16"):
        small.encode(torch.zeros(1, 3, 32, 40))


def test_rotary_axes_that_do_not_fill_a_head_are_refused(small):
    config = small.config.backbone.model_copy(update={"axes": (4, 4, 4)})
    with pytest.raises(ValueError, match="Rotary axes"):
        bundle.build_backbone(config, small.config.latent)
