"""Tables between levels and light beside the curve of IEC 61966-2-1."""

from __future__ import annotations

import numpy as np

from components.imaging.degrade.light import from_light, to_light


def linear(levels):
    """Light 0..1 of levels 0..255, float64."""
    value = np.asarray(levels, np.float64) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def encoded(light):
    """Levels of light, float64; light outside 0..1 is clipped."""
    light = np.clip(np.asarray(light, np.float64), 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def every_level():
    return np.linspace(0, 255, 3 * 7001, dtype=np.float32).reshape(1, -1, 3)


def test_light_is_the_curve_of_the_nearest_256th_of_a_level():
    wanted = linear(np.rint(every_level().astype(np.float64) * 256) / 256)
    np.testing.assert_allclose(to_light(every_level()), wanted, atol=2**-24)


def test_levels_come_back_within_a_thirtieth_and_whole_ones_as_whole():
    assert np.abs(from_light(to_light(every_level())) - every_level()).max() < 0.03
    whole = np.arange(256, dtype=np.float32).repeat(3).reshape(1, -1, 3)
    np.testing.assert_array_equal(np.rint(from_light(to_light(whole))), whole)


def test_what_is_outside_is_clipped():
    np.testing.assert_array_equal(from_light(np.array([[[-0.5, 0, 1.5]]], np.float32)), [[[0, 0, 255]]])
    np.testing.assert_array_equal(to_light(np.array([[[-9, 0, 300]]], np.float32)), [[[0, 0, 1]]])
