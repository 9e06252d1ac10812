"""Defocus beside points in the disc."""

from __future__ import annotations

import math

import numpy as np
import pytest

from components.imaging.degrade import kernels
from components.imaging.degrade.lens import Lens, lens
from tests.components.imaging.degrade.test_filters import HERE, by_hand, made
from tests.components.imaging.degrade.test_light import encoded, linear

POINTS = 400
"""Along each side of a pixel."""


def counted(radius):
    """How many of the points in each pixel lie in the disc."""
    half = int(radius + 0.5)
    places = (np.arange((2 * half + 1) * POINTS) + 0.5) / POINTS - half - 0.5
    inside = places[:, None] ** 2 + places**2 <= radius**2
    return inside.reshape(2 * half + 1, POINTS, 2 * half + 1, POINTS).mean(axis=(1, 3)) / (math.pi * radius**2)


@pytest.mark.parametrize("radius", [0.5, 0.6, 1.0, 2.3, 6.0])
def test_a_disc_has_its_area_in_every_pixel(radius):
    kernel = kernels.disc(radius)
    assert kernel.sum(dtype=np.float64) == pytest.approx(1, abs=1e-7)
    np.testing.assert_allclose(kernel, counted(radius), atol=2e-4 / radius**2)
    np.testing.assert_array_equal(kernel, kernel[::-1, ::-1])
    np.testing.assert_array_equal(kernel, kernel.T)


def test_defocus_is_the_sum_of_light_over_the_disc():
    wanted = encoded(by_hand(linear(made()), counted(3.3)))
    np.testing.assert_allclose(lens(made(), Lens(radius_px=3.3), HERE), wanted, atol=0.05)


def test_a_highlight_becomes_an_even_disc_that_is_brighter_than_a_sum_of_levels():
    image = np.zeros((41, 41, 3), np.float32)
    image[20, 20] = 255
    found = lens(image, Lens(radius_px=5), HERE)[..., 0]
    np.testing.assert_allclose(found[17:24, 17:24], found[20, 20], atol=0.1)
    assert found[20, 20] > 5 * 255 / (math.pi * 25)
