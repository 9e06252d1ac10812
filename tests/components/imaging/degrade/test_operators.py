"""Each degradation does what its parameters say."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from components.imaging import codec
from components.imaging.degrade import operators
from components.imaging.degrade.blur import Blur
from components.imaging.degrade.carrier import to_image, to_pixels
from components.imaging.degrade.jpeg import Jpeg
from components.imaging.degrade.noise import Noise
from components.imaging.degrade.resize import Resize


def carry_out(pixels, step, size_px=(0, 0)):
    return operators.DEGRADATIONS[step.kind](pixels, step, size_px)


def impulse(side=33):
    pixels = np.zeros((side, side, 3), np.float32)
    pixels[side // 2, side // 2] = 255
    return pixels


def photo_like(height=64, width=96):
    rows, columns = np.mgrid[:height, :width]
    grey = 128 + 60 * np.sin(rows / 5) + 50 * np.cos(columns / 7)
    return np.repeat(grey[..., None], 3, axis=2).astype(np.float32)


def test_blur_spreads_an_impulse_with_its_sigma():
    blurred = carry_out(impulse(), Blur(sigma_px=1.4))[..., 0].astype(np.float64)
    rows = np.mgrid[:33, :33][0] - 16
    assert blurred.sum() == pytest.approx(255, rel=0.01)
    assert np.sqrt((blurred * rows**2).sum() / blurred.sum()) == pytest.approx(1.4, rel=0.02)


def test_blur_of_zero_changes_nothing():
    np.testing.assert_array_equal(carry_out(impulse(), Blur(sigma_px=0)), impulse())


def test_resize_rounds_to_whole_pixels_and_comes_back_to_the_size_asked():
    small = carry_out(photo_like(), Resize(scale=0.7, mode="area"))
    assert small.shape == (45, 67, 3)
    assert carry_out(small, Resize(scale=None, mode="bicubic"), (64, 96)).shape == (64, 96, 3)


def test_resize_there_and_back_stays_in_place():
    pixels = photo_like()
    small = carry_out(pixels, Resize(scale=0.5, mode="area"))
    back = carry_out(small, Resize(scale=None, mode="bicubic"), (64, 96))
    inside = np.s_[4:-4, 4:-4]
    shifted = np.roll(pixels, 1, axis=1)
    assert np.abs(back - pixels)[inside].mean() < 0.3 * np.abs(back - shifted)[inside].mean()


def test_resize_never_goes_below_one_pixel():
    assert carry_out(photo_like(1, 3), Resize(scale=0.5, mode="area")).shape == (1, 2, 3)


def test_noise_has_its_sigma_and_repeats_with_its_seed():
    grey = np.full((200, 200, 3), 128, np.float32)
    noisy = carry_out(grey, Noise(sigma_u8=10, seed=5))
    assert (noisy - grey).std() == pytest.approx(10, rel=0.02)
    np.testing.assert_array_equal(noisy, carry_out(grey, Noise(sigma_u8=10, seed=5)))
    assert not np.array_equal(noisy, carry_out(grey, Noise(sigma_u8=10, seed=6)))


def test_noise_differs_between_channels():
    noisy = carry_out(np.full((100, 100, 3), 128, np.float32), Noise(sigma_u8=10, seed=5))
    assert abs(np.corrcoef(noisy[..., 0].ravel(), noisy[..., 1].ravel())[0, 1]) < 0.05


def test_noise_is_clipped():
    noisy = carry_out(np.zeros((50, 50, 3), np.float32), Noise(sigma_u8=50, seed=1))
    assert noisy.min() == 0


def test_jpeg_is_the_codec_at_that_quality():
    image_u8 = to_image(photo_like())
    expected = codec.decode(codec.encode_jpeg(image_u8, 40)).image_u8
    np.testing.assert_array_equal(to_image(carry_out(photo_like(), Jpeg(quality=40))), expected)


def test_lower_quality_is_further_away():
    far, near = (np.abs(carry_out(photo_like(), Jpeg(quality=quality)) - photo_like()).mean() for quality in (30, 90))
    assert far > near


def test_carrier_rounds_and_clips():
    pixels = np.array([[[-3.0, 0.6, 254.4], [255.9, 1.4, 300.0]]], np.float32)
    np.testing.assert_array_equal(to_image(pixels), [[[0, 1, 254], [255, 1, 255]]])
    np.testing.assert_array_equal(to_image(to_pixels(to_image(pixels))), to_image(pixels))


def test_every_step_has_an_operator():
    steps = get_args(get_args(operators.Step)[0])
    kinds = {model.model_fields["kind"].default for model in steps}
    assert kinds == set(operators.DEGRADATIONS)
