"""Fading beside the densities."""

from __future__ import annotations

import numpy as np

from components.imaging.degrade.fading import Fading, fading
from tests.components.imaging.degrade.test_filters import HERE, made
from tests.components.imaging.degrade.test_light import encoded, linear


def by_density(image, keeps, stains):
    """Reflectance to density, which is scaled and added to, and back."""
    black = 10**-2.2
    density = -np.log10(black + (1 - black) * linear(image))
    faded = 10 ** -(density * keeps + stains)
    return encoded((faded - black) / (1 - black))


def test_fading_is_its_formula():
    step = Fading(cyan_percent=55, magenta_percent=80, yellow_percent=71, stain_hundredths=20)
    wanted = by_density(made(), np.array([0.55, 0.8, 0.71]), 0.2 * np.array([0.1, 0.35, 1]))
    np.testing.assert_allclose(fading(made(), step, HERE), wanted, atol=0.05)


def test_a_fresh_print_stays_as_it_is():
    fresh = Fading(cyan_percent=100, magenta_percent=100, yellow_percent=100, stain_hundredths=0)
    np.testing.assert_allclose(fading(made(), fresh, HERE), made(), atol=0.003)


def test_black_rises_white_stays_and_stain_makes_white_yellow():
    image = np.array([[[0, 0, 0], [255, 255, 255]]], np.float32)
    faded = fading(image, Fading(cyan_percent=60, magenta_percent=60, yellow_percent=60, stain_hundredths=0), HERE)
    assert faded[0, 0].min() > 40
    np.testing.assert_array_equal(faded[0, 1], 255)
    red, green, blue = fading(image, Fading(cyan_percent=99, magenta_percent=99, yellow_percent=99, stain_hundredths=20), HERE)[
        0, 1
    ]
    assert red > green > blue
    assert 200 < blue < 220
