"""A batch on a device is the pairs of the processor's path, within the tolerance that it states."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from components.errors import SettingsError
from components.imaging import codec
from components.imaging.degrade import recipe
from components.imaging.degrade.batch import HQ_MOST_U8, LQ_MEAN_U8, LQ_PSNR_DB, apply_batch

PRESETS = ("dreamclear", "real-esrgan-x4plus", "mild", "tiny")
USUAL_MEAN_U8 = 0.05
"""Over several pairs; some 0.002 was measured."""
CPU = torch.device("cpu")


def made_image(number=0, height=150, width=203):
    """Edges, a smooth ground and noise."""
    rows, columns = np.mgrid[:height, :width]
    channels = [(rows * 3 + columns) % 256, 128 + 90 * np.sin(rows / 9 + number), (rows // 16 + columns // 16) % 2 * 180 + 30]
    noise = np.random.default_rng(number).normal(0, 6, (height, width, 3))
    return np.clip(np.stack(channels, axis=-1) + noise, 0, 255).astype(np.uint8)


def drawn(name, numbers, crop_px=128):
    settings = recipe.preset(name).model_copy(update={"crop_px": crop_px})
    return [recipe.draw(5, f"image-{number}", 0, settings) for number in numbers]


def compare(pictures, recipes, device=CPU):
    """Make the pairs both ways and hold them against the tolerance; gives the mean difference of LQ."""
    hq_u8, lq_u8 = apply_batch(pictures, recipes, device)
    assert hq_u8.device.type == lq_u8.device.type == device.type
    assert hq_u8.dtype == lq_u8.dtype == torch.uint8
    means = []
    for number, (picture, one) in enumerate(zip(pictures, recipes, strict=True)):
        expected = recipe.apply(picture, one)
        hq, lq = (
            np.abs(side[number].permute(1, 2, 0).cpu().numpy().astype(float) - there)
            for side, there in zip((hq_u8, lq_u8), expected, strict=True)
        )
        assert hq.max() <= HQ_MOST_U8, one
        assert lq.mean() <= LQ_MEAN_U8, one
        assert 10 * math.log10(255**2 / max((lq**2).mean(), 1e-9)) >= LQ_PSNR_DB, one
        means.append(lq.mean())
    return float(np.mean(means))


@pytest.mark.parametrize("name", PRESETS)
def test_made_pictures_agree_within_the_tolerance(name):
    assert compare([made_image(number) for number in range(8)], drawn(name, range(8))) < USUAL_MEAN_U8


@pytest.mark.parametrize("name", PRESETS)
def test_photos_agree_within_the_tolerance(name, test_data):
    photos = [codec.decode(path.read_bytes()).image_u8 for path in sorted((test_data / "photos_hq").glob("*.jpg"))[:4]]
    assert compare(photos, drawn(name, range(len(photos)), crop_px=200)) < USUAL_MEAN_U8


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", PRESETS)
def test_a_gpu_agrees_within_the_tolerance_whatever_its_float32_is(name):
    allowed = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    try:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            compare([made_image(number, 300, 300) for number in range(16)], drawn(name, range(16), 256), torch.device("cuda"))
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = allowed


def test_a_pair_does_not_depend_on_the_others_in_its_batch():
    pictures, recipes = [made_image(number) for number in range(4)], drawn("real-esrgan-x4plus", range(4), 96)
    together = apply_batch(pictures, recipes, CPU)
    alone = apply_batch(pictures[2:3], recipes[2:3], CPU)
    for side, one in zip(together, alone, strict=True):
        assert torch.equal(side[2], one[0])


def test_frozen_presets_and_whole_pictures_are_made_too():
    recipes = drawn("heavy", [0], None) + drawn("moderate", [1], None)
    assert compare([made_image(0, 41, 57), made_image(1, 41, 57)], recipes) < USUAL_MEAN_U8


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (1, 1), (5, 7)])
def test_thin_and_tiny_pictures_keep_their_size(shape):
    for name in PRESETS:
        for one in drawn(name, range(3), None):
            hq_u8, lq_u8 = apply_batch([made_image(0, *shape)], [one], CPU)
            assert hq_u8.shape == lq_u8.shape == (1, 3, *shape)


def test_pairs_of_several_sizes_and_none_are_refused():
    recipes = drawn("tiny", [0], 64) + drawn("tiny", [1], 96)
    with pytest.raises(SettingsError, match="64x64 px, 96x96 px"):
        apply_batch([made_image()] * 2, recipes, CPU)
    with pytest.raises(SettingsError, match="got none"):
        apply_batch([], [], CPU)


def test_what_the_processor_refuses_is_refused_in_the_same_words():
    (one,) = drawn("tiny", [0])
    for picture, wrong in [
        (made_image(0, 128, 127), one),
        (made_image(), one.model_copy(update={"operator": "degrade-0"})),
        (made_image(), one.model_copy(update={"made_with": "00000000 1 2 3"})),
    ]:
        with pytest.raises(SettingsError) as there:
            recipe.apply(picture, wrong)
        with pytest.raises(SettingsError) as here:
            apply_batch([picture], [wrong], CPU)
        assert str(here.value) == str(there.value)


def test_a_picture_that_may_not_be_written_to_is_taken_and_left_alone():
    picture = made_image()
    picture.setflags(write=False)
    before = picture.copy()
    apply_batch([picture], drawn("moderate", [0], None), CPU)
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("name", PRESETS)
def test_no_step_asks_the_device_for_a_value_which_would_wait_for_all_work_before(name):
    """A device without values refuses every such question."""
    hq_u8, lq_u8 = apply_batch([made_image()] * 12, drawn(name, range(12)), torch.device("meta"))
    assert hq_u8.shape == lq_u8.shape == (12, 3, 128, 128)
