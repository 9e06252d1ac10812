"""Blur and flat share: the paper's filters as defined, against a plain float64 reference."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from components.imaging import codec, sharpness


def magnitudes(luma_u8):
    """Sobel magnitude in float64, reflect-101 at the borders."""
    near = np.pad(luma_u8.astype(np.float64), 1, mode="reflect")
    across, down = near[:, 2:] - near[:, :-2], near[2:] - near[:-2]
    return np.hypot(across[:-2] + 2 * across[1:-1] + across[2:], down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:])


def reference(luma_u8):
    """Blur and the variance of each patch, in plain float64."""
    near = np.pad(luma_u8.astype(np.float64), 1, mode="reflect")
    laplacian = near[:-2, 1:-1] + near[2:, 1:-1] + near[1:-1, :-2] + near[1:-1, 2:] - 4 * near[1:-1, 1:-1]
    rows, columns, magnitude = luma_u8.shape[0] // 240, luma_u8.shape[1] // 240, magnitudes(luma_u8)
    patches = [[magnitude[240 * r : 240 * r + 240, 240 * c : 240 * c + 240].var() for c in range(columns)] for r in range(rows)]
    return laplacian.var(), np.array(patches)


def variances(luma_u8):
    rows, columns = luma_u8.shape[0] // 240, luma_u8.shape[1] // 240
    return np.array([[sharpness.patch_variance(luma_u8, r, c) for c in range(columns)] for r in range(rows)])


def made_luma(height, width, seed=0):
    generator = np.random.default_rng(seed)
    noise = generator.integers(0, 256, (height, width), dtype=np.uint8)
    strength = np.linspace(0.05, 6, width)  # from sharp noise to nothing
    blurred = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return np.where(strength < 3, noise, blurred).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(480, 720), (500, 777), (241, 2100), (240, 240)])
def test_equals_the_reference(height, width):
    luma_u8 = made_luma(height, width)
    blur, patches = reference(luma_u8)
    assert sharpness.score(luma_u8) == (pytest.approx(blur, rel=1e-12), np.mean(patches < 800))
    np.testing.assert_allclose(variances(luma_u8), patches, rtol=1e-12)


@pytest.mark.parametrize(("height", "width"), [(2, 2), (2, 9), (9, 2), (3, 3), (17, 33), (1, 7), (31, 16)])
def test_small_pictures_have_the_blur_of_the_reference(height, width):
    luma_u8 = np.random.default_rng(height * width).integers(0, 256, (height, width), dtype=np.uint8)
    expected = reference(luma_u8)[0] if min(height, width) > 1 else 0
    assert sharpness.score(luma_u8)[0] == pytest.approx(expected, rel=1e-12)


def test_equals_the_reference_on_photos(test_data):
    for name in ("kodim01.png", "kodim23.png", "elem_photobyspacex_b32f2776.jpg"):
        luma_u8 = codec.luma((test_data / "photos_hq" / name).read_bytes())
        blur, patches = reference(luma_u8)
        assert sharpness.score(luma_u8) == (pytest.approx(blur, rel=1e-12), np.mean(patches < 800))


EDGE_CASES = {
    "equal steps, whose roundings add up": np.tile(np.arange(240) // 3 * 3, (240, 1)),
    "diagonal": np.add.outer(np.arange(240), np.arange(240)) // 2,
    "largest magnitudes": np.tile(np.arange(240) // 2 % 2 * 255, (240, 1)),
    "noise": np.random.default_rng(3).integers(0, 256, (240, 240)),
    "faint noise": np.random.default_rng(4).integers(100, 104, (240, 240)),
}


@pytest.mark.parametrize("case", EDGE_CASES)
def test_a_patch_is_flat_just_below_the_limit_and_not_at_it(case, monkeypatch):
    luma_u8 = EDGE_CASES[case].astype(np.uint8)
    variance = sharpness.patch_variance(luma_u8, 0, 0)
    monkeypatch.setattr(sharpness, "FLAT_BELOW", variance)
    assert sharpness.score(luma_u8)[1] == 0
    monkeypatch.setattr(sharpness, "FLAT_BELOW", np.nextafter(variance, np.inf))
    assert sharpness.score(luma_u8)[1] == 1


@pytest.mark.parametrize("case", EDGE_CASES)
def test_a_patch_out_of_doubt_is_judged_as_in_64_bits(case, monkeypatch):
    luma_u8 = EDGE_CASES[case].astype(np.uint8)
    mean_squared = magnitudes(luma_u8).mean() ** 2
    variance, doubt = sharpness.patch_variance(luma_u8, 0, 0), 1.01 * sharpness.DOUBT * mean_squared
    for limit, flat in ((variance - doubt, 0), (variance + doubt, 1)):
        monkeypatch.setattr(sharpness, "FLAT_BELOW", limit)
        assert sharpness.score(luma_u8)[1] == flat


def test_largest_contrast_does_not_overflow():
    checks = (np.indices((720, 4800)).sum(0) % 2 * 255).astype(np.uint8)
    assert sharpness.score(checks)[0] == pytest.approx(1020.0**2, rel=1e-12)
    edges = (np.arange(480) // 2 % 2 * 255 * np.ones((480, 1))).astype(np.uint8)
    np.testing.assert_allclose(variances(edges), reference(edges)[1], rtol=1e-9, atol=1e-6)


def test_constant_picture_is_blurred_and_flat():
    assert sharpness.score(np.full((480, 240), 77, np.uint8)) == (0.0, 1.0)


def test_partial_patches_are_ignored():
    luma_u8 = np.zeros((479, 300), np.uint8)
    luma_u8[:240, :240] = made_luma(240, 240)[:, :240]
    assert sharpness.score(luma_u8)[1] == 0


def test_half_flat_picture_has_half_the_share():
    luma_u8 = np.full((240, 480), 128, np.uint8)
    luma_u8[:, :240] = np.random.default_rng(1).integers(0, 256, (240, 240))
    assert sharpness.score(luma_u8)[1] == 0.5


@pytest.mark.parametrize(("height", "width", "whole"), [(240, 240, True), (239, 1000, False), (1000, 239, False)])
def test_side_below_a_patch_has_no_flat_share(height, width, whole):
    assert math.isnan(sharpness.score(np.zeros((height, width), np.uint8))[1]) is not whole


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 2), (2, 3)])
def test_tiny_pictures_do_not_fail(shape):
    blur, flat_share = sharpness.score(np.zeros(shape, np.uint8))
    assert blur == 0
    assert math.isnan(flat_share)


def test_view_of_a_larger_picture_scores_as_its_copy():
    luma_u8 = made_luma(600, 600)[::2, 30:530]
    assert sharpness.score(luma_u8) == sharpness.score(luma_u8.copy())
