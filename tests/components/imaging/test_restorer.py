import numpy as np
import pytest
import torch

from components.errors import WeightsError
from components.imaging.restorer import Restorer, SamplerSettings, seed_of
from models import bundle
from models.config import TINY
from models.lucidflux import Adapter

QUICK = SamplerSettings(steps=1, tile_px=64, overlap_px=16)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A bundle of random weights and an adapter beside it."""
    torch.manual_seed(0)
    directory = tmp_path_factory.mktemp("bundle")
    small = TINY.backbone.model_copy(update={"hidden": 32, "heads": 2, "axes": (4, 6, 6), "single_blocks": 1})
    parts = bundle.build(TINY.model_copy(update={"backbone": small}))
    parts.config.save(directory)
    for name, module in parts.modules().items():
        bundle.write_weights(directory / bundle.FROZEN_FILES[name], module)
    Adapter.from_backbone(parts.config, parts).save(directory / "adapter.safetensors")
    return directory


@pytest.fixture(scope="module")
def restorer(base):
    return Restorer(base, base / "adapter.safetensors", QUICK)


def picture(seed, height, width):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 200), (64, 64), (97, 130)])
def test_any_size_comes_back_as_uint8_of_that_size(restorer, height, width):
    result = restorer.restore([picture(1, height, width)])[0]
    for image_u8 in (result.lrp_u8, result.restored_u8):
        assert image_u8.shape == (height, width, 3)
        assert image_u8.dtype == np.uint8


def test_a_result_is_the_same_to_the_last_bit_whatever_stands_beside_it(restorer):
    images = [picture(seed, 40, 70) for seed in range(3)] + [picture(9, 20, 20)]
    forwards = restorer.restore(images)
    backwards = restorer.restore(images[::-1])[::-1]
    for a, b in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(a.restored_u8, b.restored_u8)


def test_a_batch_differs_from_single_pictures_by_rounding_only(base, restorer):
    images = [picture(seed, 40, 70) for seed in range(3)]
    batched = Restorer(base, base / "adapter.safetensors", QUICK, batch=3).restore(images)
    for a, b in zip(restorer.restore(images), batched, strict=True):
        assert np.abs(a.restored_u8.astype(int) - b.restored_u8).max() <= 1


def test_the_seed_comes_from_the_pixels_unless_it_is_given(restorer):
    image = picture(1, 32, 32)
    plain = restorer.restore([image])[0].restored_u8
    np.testing.assert_array_equal(plain, restorer.restore([image], [seed_of(image)])[0].restored_u8)
    assert not np.array_equal(plain, restorer.restore([image], [1])[0].restored_u8)
    assert seed_of(image) != seed_of(image[::-1])


def test_a_float_picture_gives_what_its_8_bits_give_before_rounding(restorer):
    image = picture(4, 30, 50)
    fine = restorer.restore_01([(image / 255).astype(np.float32)])[0]
    assert fine.dtype == np.float32
    assert len(np.unique(fine)) > 256
    np.testing.assert_array_equal(np.rint(fine * 255), restorer.restore([image])[0].restored_u8)


def test_a_float_picture_with_nan_is_refused(restorer):
    with pytest.raises(ValueError, match="finite"):
        restorer.restore_01([np.full((4, 4, 3), np.nan, np.float32)])


def test_a_result_that_is_not_finite_is_an_error_that_names_the_weights_and_not_a_black_picture(base):
    overflowing = Restorer(base, base / "adapter.safetensors", QUICK)
    overflowing.pipeline.frozen.autoencoder.linear_decoder.weight.fill_(torch.inf)
    with pytest.raises(WeightsError, match=r"NaN or infinity.*adapter\.safetensors"):
        overflowing.restore([picture(1, 16, 16)])


def test_nothing_to_restore_gives_nothing(restorer):
    assert restorer.restore([]) == []


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)])
def test_another_layout_is_refused(restorer, image):
    with pytest.raises(ValueError, match="uint8"):
        restorer.restore([image])


def test_a_missing_adapter_and_a_missing_bundle_are_weights_errors(base, tmp_path):
    with pytest.raises(WeightsError, match=r"none\.safetensors"):
        Restorer(base, tmp_path / "none.safetensors", QUICK)
    with pytest.raises(WeightsError, match=r"config\.json"):
        Restorer(tmp_path, None, QUICK)


def test_an_adapter_of_another_size_is_refused(base, tmp_path):
    bundle.write_weights(tmp_path / "wrong.safetensors", torch.nn.Linear(2, 2))
    with pytest.raises(WeightsError, match="does not fit"):
        Restorer(base, tmp_path / "wrong.safetensors", QUICK)


def test_identity_follows_adapter_and_sampler(base, restorer):
    assert Restorer(base, base / "adapter.safetensors", QUICK).identity == restorer.identity
    assert Restorer(base, None, QUICK).identity != restorer.identity
    assert Restorer(base, base / "adapter.safetensors", QUICK.model_copy(update={"steps": 2})).identity != restorer.identity


def test_threads_are_set_for_the_call_only(base):
    before = torch.get_num_threads()
    Restorer(base, None, QUICK, threads=2).restore([picture(1, 16, 16)])
    assert torch.get_num_threads() == before
