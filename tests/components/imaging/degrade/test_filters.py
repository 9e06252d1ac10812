"""Kernels, noise and resampling beside their formulas, computed slowly in float64."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch.nn.functional import interpolate

from components.imaging import codec
from components.imaging.degrade import kernels, versions
from components.imaging.degrade.carrier import to_image
from components.imaging.degrade.filter import Sinc, Spread, sharpen, sinc, spread
from components.imaging.degrade.noise import GreyNoise, noise
from components.imaging.degrade.resize import Fit, Rescale, fit, rescale
from components.imaging.degrade.shot import Poisson, poisson
from components.imaging.degrade.two_stage import SHAPES

HERE = (0, 0)


def made(height=40, width=53):
    return np.random.default_rng(0).uniform(0, 255, (height, width, 3)).astype(np.float32)


def formula(shape, size, sigma_x, sigma_y, theta, beta):
    """The kernel point by point, with the covariance written out."""
    turn = np.array([[math.cos(theta), -math.sin(theta)], [math.sin(theta), math.cos(theta)]])
    inverse = np.linalg.inv(turn @ np.diag([sigma_x**2, sigma_y**2]) @ turn.T)
    kernel = np.empty((size, size))
    for row, column in itertools.product(range(size), repeat=2):
        place = np.array([column - size // 2, row - size // 2])
        q = place @ inverse @ place
        kernel[row, column] = 1 / (1 + q**beta) if "plateau" in shape else math.exp(-0.5 * q ** (beta if "gener" in shape else 1))
    return kernel / kernel.sum()


def by_hand(image, kernel):
    """Correlation with reflect-101 borders."""
    half = kernel.shape[0] // 2
    padded = np.pad(image.astype(np.float64), ((half, half), (half, half), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape, axis=(0, 1))
    return np.einsum("hwcij,ij->hwc", windows, kernel)


@pytest.mark.parametrize("size", [7, 13, 21])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_spread_is_its_formula(shape, size):
    sigma_y = 1.9 if "aniso" not in shape else 0.6
    wanted = formula(shape, size, 1.9, sigma_y, 0.7 if "aniso" in shape else 0, 1.7)
    kernel = kernels.spread(shape, size, (1.9, sigma_y), 0.7, 1.7)
    assert kernel.sum(dtype=np.float64) == pytest.approx(1, abs=1e-7)
    np.testing.assert_allclose(kernel, wanted, atol=3e-6)
    blurred = spread(made(), Spread(shape=shape, size=size, sigma_x_px=1.9, sigma_y_px=sigma_y, theta=0.7, beta=1.7), HERE)
    np.testing.assert_allclose(blurred, by_hand(made(), wanted), atol=2e-3)


@pytest.mark.parametrize("cutoff", [math.pi / 5, math.pi / 3, 2.2, math.pi])
def test_a_low_pass_is_its_formula(cutoff):
    rows, columns = np.mgrid[:15, :15] - 7.0
    radius = np.hypot(rows, columns)
    with np.errstate(invalid="ignore"):
        wanted = np.where(radius == 0, cutoff**2 / (4 * np.pi), cutoff * special.jv(1, cutoff * radius) / (2 * np.pi * radius))
    wanted /= wanted.sum()
    assert kernels.sinc(15, cutoff).sum(dtype=np.float64) == pytest.approx(1, abs=1e-7)
    np.testing.assert_allclose(kernels.sinc(15, cutoff), wanted, atol=3e-6)
    np.testing.assert_allclose(sinc(made(), Sinc(size=15, cutoff=cutoff), HERE), by_hand(made(), wanted), atol=3e-3)


def test_a_slanted_kernel_lies_as_its_angle_says():
    impulse = np.zeros((21, 21, 3), np.float32)
    impulse[10, 10] = 1
    step = Spread(shape="aniso", size=13, sigma_x_px=3, sigma_y_px=0.5, theta=math.pi / 4, beta=1)
    line = spread(impulse, step, HERE)[..., 0]
    assert line[13, 13] > 100 * line[13, 7]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 30), (30, 1), (2, 3)])
def test_a_picture_narrower_than_the_kernel_is_reflected_again_and_again(height, width):
    image = made(height, width)
    blurred = spread(image, Spread(shape="aniso", size=21, sigma_x_px=3, sigma_y_px=2, theta=1, beta=1), HERE)
    assert blurred.shape == image.shape
    assert image.min() - 1e-3 <= blurred.min() <= blurred.max() <= image.max() + 1e-3


def test_sharpening_is_its_formula():
    image = made(60, 70)
    line = np.exp(-0.5 * ((np.arange(51) - 25) / 8.0) ** 2)
    blur = np.outer(line, line) / line.sum() ** 2
    picture = image.astype(np.float64)
    detail = picture - by_hand(picture, blur)
    soft = by_hand(np.abs(detail) > 10, blur)
    wanted = soft * np.clip(picture + 0.5 * detail, 0, 255) + (1 - soft) * picture
    # a difference that is 10 to the last bit falls to one side or the other, and changes the mask by one weight at most
    assert np.abs(sharpen(image) - wanted).max() < 0.3
    assert np.abs(sharpen(image) - wanted).mean() < 2e-3


def test_grey_noise_is_one_field():
    flat = np.full((200, 200, 3), 128, np.float32)
    grey = noise(flat, GreyNoise(sigma_u8=10, seed=3), HERE) - 128
    assert grey.std() == pytest.approx(10, rel=0.02)
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])


@pytest.mark.parametrize("level", [1, 40, 128, 220])
def test_poisson_noise_counts_as_the_formula_says(level):
    """A picture of two levels has v = 2: its noise is scale * (Poisson(2 I) / 2 - I)."""
    image = np.full((300, 300, 3), level, np.float32)
    image[0, 0] = 255 - level
    assert len(np.unique(to_image(image))) == 2
    added = (poisson(image, Poisson(scale=0.02, grey=False, seed=9), HERE) - image)[1:].astype(np.float64).ravel()
    counts = (added / 0.02 / 255 + level / 255) * 2
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-3)
    found = np.bincount(np.rint(counts).astype(int))
    expected = stats.poisson.pmf(np.arange(len(found)), 2 * level / 255) * found.sum()
    rare = expected < 5
    observed = np.append(found[~rare], found[rare].sum())
    assert stats.chisquare(observed, np.append(expected[~rare], found.sum() - expected[~rare].sum())).pvalue > 1e-4


def test_poisson_noise_of_many_levels_has_its_mean_and_variance():
    image = np.repeat(np.arange(64, 192, dtype=np.float32)[None, :, None], 2000, axis=0).repeat(3, axis=2)
    added = poisson(image, Poisson(scale=1, grey=False, seed=2), HERE).astype(np.float64) - image
    # 128 levels, so v = 128, and the variance of Poisson(v I) / v is I / v, in levels of 255
    wanted = image[0, :, 0] / 255 / 128 * 255**2
    assert abs(added.mean()) < 0.1
    np.testing.assert_allclose(added.var(axis=(0, 2)), wanted, rtol=0.12)


def test_grey_poisson_noise_is_one_field():
    image = made() / 2 + 60
    added = poisson(image, Poisson(scale=0.3, grey=True, seed=1), HERE) - image
    np.testing.assert_allclose(added[..., 0], added[..., 1], atol=2e-5)
    assert added.std() > 1


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("factor", [0.2113, 0.613, 0.99, 1.27])
def test_a_picture_rescaled_by_a_factor_is_torchs(factor, mode):
    pixels = torch.from_numpy(made(90, 101)).permute(2, 0, 1)[None].double()
    wanted = interpolate(pixels, scale_factor=factor, mode=mode, recompute_scale_factor=False)[0].permute(1, 2, 0).numpy()
    scaled = rescale(made(90, 101), Rescale(factor=factor, mode=mode), HERE)
    np.testing.assert_allclose(scaled, wanted, atol=2e-2)


def test_fit_takes_its_part_of_the_crop():
    assert fit(made(), Fit(part=0.11905, mode="area"), (1024, 512)).shape == (121, 60, 3)
    assert fit(made(), Fit(part=0.001, mode="bilinear"), (30, 30)).shape == (1, 1, 3)
    assert rescale(made(1, 30), Rescale(factor=0.3, mode="area"), HERE).shape == (1, 9, 3)


@pytest.mark.e2e
@pytest.mark.parametrize(
    "without",
    [
        {
            "NUMBA_CPU_NAME": "generic",
            "NUMBA_CPU_FEATURES": "",
            "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
        },
        {"OPENCV_CPU_DISABLE": "SSE4.2,AVX,AVX2,FMA3,AVX512-SKX,AVX512-ICL"},
        # Intel's library inside OpenCV has its own
        {"OPENCV_IPP": "disabled"},
        {"OPENCV_IPP": "sse42", "OPENCV_CPU_DISABLE": "AVX,AVX2,FMA3,AVX512-SKX,AVX512-ICL"},
        # libaom's own switch: up to SSE2
        {"AOM_SIMD_CAPS_MASK": "0x07"},
    ],
)
def test_bytes_do_not_depend_on_vector_units(without, tmp_path):
    extras = sorted(versions.EXTRAS.keys() - (set() if codec.avif_version() else {"avif"}))
    words = f"from components.imaging.degrade import versions; print(versions.stamp(), versions.stamp({extras}))"
    done = subprocess.run(
        [sys.executable, "-c", words],
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)} | without,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == f"{versions.stamp()} {versions.stamp(extras)}"
