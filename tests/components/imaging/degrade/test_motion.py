"""Motion blur beside points along the line."""

from __future__ import annotations

import math

import numpy as np
import pytest

from components.imaging.degrade import kernels
from components.imaging.degrade.motion import Motion, motion
from tests.components.imaging.degrade.test_filters import HERE, by_hand, made
from tests.components.imaging.degrade.test_light import encoded, linear

POINTS = 200_000


def counted(length, theta):
    """Where equidistant points of the line fall."""
    half = int(length / 2 + 0.5)
    along = ((np.arange(POINTS) + 0.5) / POINTS - 0.5) * length
    edges = np.arange(-half, half + 2) - 0.5
    return np.histogram2d(along * math.sin(theta), along * math.cos(theta), bins=(edges, edges))[0] / POINTS


@pytest.mark.parametrize("theta", [0.0, 0.7, math.pi / 2, -1.2, math.pi / 3])
@pytest.mark.parametrize("length", [1.0, 2.5, 9.3, 20.0])
def test_a_line_has_its_length_in_every_pixel(length, theta):
    kernel = kernels.motion(length, theta)
    assert kernel.sum(dtype=np.float64) == pytest.approx(1, abs=1e-7)
    np.testing.assert_allclose(kernel, counted(length, theta), atol=2e-5)
    np.testing.assert_array_equal(kernel, kernel[::-1, ::-1])


@pytest.mark.parametrize("theta", [0.4, -1.1])
def test_motion_is_the_sum_of_light_along_the_line(theta):
    wanted = encoded(by_hand(linear(made()), counted(7.4, theta)))
    np.testing.assert_allclose(motion(made(), Motion(length_px=7.4, theta=theta), HERE), wanted, atol=0.04)


def test_a_bright_point_becomes_a_streak_along_its_angle():
    image = np.zeros((31, 31, 3), np.float32)
    image[15, 15] = 255
    streak = motion(image, Motion(length_px=11, theta=math.pi / 4), HERE)[..., 1]
    assert streak[18, 18] > 50
    assert streak[18, 12] == 0
    assert linear(streak).sum() == pytest.approx(1, rel=0.01)
