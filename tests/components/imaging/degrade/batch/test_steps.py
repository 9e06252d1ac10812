"""Each step on a device beside the same step on the processor."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from components.imaging.degrade import operators
from components.imaging.degrade.batch.filter import sharpen
from components.imaging.degrade.batch.operators import ON_DEVICE, carry_out
from components.imaging.degrade.blur import Blur
from components.imaging.degrade.carrier import to_image
from components.imaging.degrade.filter import Sinc, Spread
from components.imaging.degrade.filter import sharpen as sharpen_here
from components.imaging.degrade.jpeg import Jpeg
from components.imaging.degrade.noise import GreyNoise, Noise
from components.imaging.degrade.resize import Fit, Rescale, Resize
from components.imaging.degrade.shot import Poisson

SHAPES = [(61, 75), (7, 3), (1, 40), (1, 1)]
HQ_PX = (90, 84)
MODES = ("area", "bilinear", "bicubic")
KERNELS = [
    Spread(shape="iso", size=13, sigma_x_px=1.7, sigma_y_px=1.7, theta=0, beta=1),
    Spread(shape="generalised_aniso", size=21, sigma_x_px=2.1, sigma_y_px=0.7, theta=0.6, beta=0.8),
    Spread(shape="plateau_iso", size=9, sigma_x_px=1.1, sigma_y_px=1.1, theta=0, beta=1.4),
    Sinc(size=15, cutoff=1.4),
]
NOISES = [
    Noise(sigma_u8=11, seed=3),
    GreyNoise(sigma_u8=7, seed=2**64 - 1),
    Poisson(scale=1.2, grey=False, seed=5),
    Poisson(scale=0.7, grey=True, seed=6),
]


def made(height, width, *, whole=False):
    """A smooth picture with texture, between grey levels or on them."""
    rows, columns = np.mgrid[:height, :width]
    grey = 120 + 80 * np.sin(rows / 5) + 50 * np.cos(columns / 7)
    noise = np.random.default_rng(0).normal(0, 12, (height, width, 3))
    pixels = np.clip(grey[..., None] + noise, 0, 255).astype(np.float32)
    return np.rint(pixels) if whole else pixels


def on_device(pixels, step):
    image_CHW = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    return carry_out(image_CHW, step, HQ_PX).permute(1, 2, 0).numpy()


def furthest(pixels, step):
    """Largest difference between device and processor, grey levels."""
    expected, found = operators.DEGRADATIONS[step.kind](pixels, step, HQ_PX), on_device(pixels, step)
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    return np.abs(found - expected).max()


@pytest.mark.parametrize("shape", SHAPES)
def test_kernels_and_resampling_differ_by_rounding_alone(shape):
    steps = KERNELS + [Fit(part=part, mode=mode) for mode in MODES for part in (0.25, 0.31, 0.8, 1.0)]
    steps += [Resize(scale=scale, mode=mode) for mode in MODES for scale in (0.45, 0.5, 1.3, None)]
    steps += [Rescale(factor=factor, mode=mode) for mode in MODES for factor in (0.1531, 0.25, 0.5, 0.77, 1.0031, 1.27, 1.5)]
    # OpenCV takes places in float32 for pictures of a few columns, which is 2e-3
    most = 5e-4 if min(shape) > 7 else 3e-3
    for step in steps:
        assert furthest(made(*shape), step) < most, step


def test_resampling_meets_the_grid_at_any_factor():
    random = np.random.default_rng(1)
    for number in range(150):
        pixels = made(*random.integers(20, 90, 2).tolist())
        step = Rescale(factor=round(float(random.uniform(0.15, 1.5)), 4), mode=MODES[number % 3])
        assert furthest(pixels, step) < 3e-3, (step, pixels.shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("whole", [False, True])
def test_noise_is_the_same_field(shape, whole):
    for step in NOISES:
        assert furthest(made(*shape, whole=whole), step) == 0, step


@pytest.mark.parametrize("levels", [1, 2, 3, 64, 65, 128, 129, 256])
def test_poisson_noise_counts_the_levels_of_the_picture(levels):
    ramp = np.resize(np.linspace(0, 255, levels).round(), (40, 40)).astype(np.float32)
    assert furthest(np.repeat(ramp[..., None], 3, axis=2), Poisson(scale=1, grey=levels % 2 == 0, seed=levels)) == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_blur_is_the_same(shape):
    for sigma_px in (0, 0.1, 0.24, 0.3, 1.3, 4):
        assert furthest(made(*shape), Blur(sigma_px=sigma_px)) == 0, sigma_px


@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (5, 7), (8, 8), (16, 16), (17, 33), (31, 48), (64, 50), (65, 130)])
@pytest.mark.parametrize("kind", ["smooth", "noise", "extreme"])
def test_jpeg_gives_the_bytes_of_libjpeg(shape, kind):
    random = np.random.default_rng(2)
    pixels = {
        "smooth": made(*shape),
        "noise": random.uniform(0, 255, (*shape, 3)).astype(np.float32),
        "extreme": random.choice(np.float32([0, 255]), (*shape, 3)),
    }[kind]
    for quality in (1, 5, 30, 49, 50, 75, 95, 100):
        assert furthest(pixels, Jpeg(quality=quality)) == 0, quality


def test_sharpening_is_the_same_to_a_level():
    pixels = made(80, 90, whole=True)
    found = sharpen(torch.from_numpy(pixels).permute(2, 0, 1)).permute(1, 2, 0).numpy()
    assert np.abs(found - sharpen_here(pixels)).max() < 0.1
    assert np.abs(to_image(found).astype(int) - to_image(sharpen_here(pixels))).max() <= 1


def test_a_step_without_a_function_on_the_device_is_carried_out_on_the_processor(monkeypatch):
    class Mirror:
        kind = "mirror"

    monkeypatch.setitem(operators.DEGRADATIONS, "mirror", lambda image, step, size_px: image[:, ::-1].astype(np.float64))
    assert "mirror" not in ON_DEVICE
    np.testing.assert_array_equal(on_device(made(5, 8), Mirror), made(5, 8)[:, ::-1])


def test_every_function_on_the_device_belongs_to_a_step():
    assert set(ON_DEVICE) <= set(operators.DEGRADATIONS)
