"""Shot and read noise have their variances in linear light."""

from __future__ import annotations

import numpy as np
import pytest

from components.imaging.degrade.sensor import Sensor, sensor
from tests.components.imaging.degrade.test_filters import HERE, made
from tests.components.imaging.degrade.test_light import encoded, linear


def test_noise_is_its_formula():
    step = Sensor(shot=0.01, read=3e-4, seed=11)
    field = np.random.Generator(np.random.Philox(key=11)).standard_normal(made().shape, dtype=np.float32).astype(np.float64)
    light = linear(made())
    wanted = encoded(light + np.sqrt(0.01 * light + 3e-4) * field)
    np.testing.assert_allclose(sensor(made(), step, HERE), wanted, atol=0.04)


@pytest.mark.parametrize("level", [60, 128, 200])
def test_the_variance_of_light_is_a_line_over_light(level):
    flat = np.full((300, 300, 3), level, np.float32)
    light = linear(sensor(flat, Sensor(shot=2e-3, read=1e-5, seed=2), HERE))
    assert light.mean() == pytest.approx(float(linear(level)), rel=2e-3)
    assert light.var() == pytest.approx(2e-3 * float(linear(level)) + 1e-5, rel=0.02)


def test_dark_pictures_look_noisier_than_bright_ones():
    """A curve that lifts shadows lifts their noise; Gaussian noise on levels has it the same everywhere."""
    dark, bright = (
        sensor(np.full((99, 99, 3), level, np.float32), Sensor(shot=1e-3, read=1e-5, seed=1), HERE) for level in (30, 220)
    )
    assert dark.std() > 2 * bright.std()


def test_noise_repeats_with_its_seed_and_none_is_none():
    one, same, other = (sensor(made(), Sensor(shot=0.01, read=0, seed=seed), HERE) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(sensor(made(), Sensor(shot=0, read=0, seed=1), HERE), made(), atol=0.03)
