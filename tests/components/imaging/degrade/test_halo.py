"""Over-sharpening beside unsharp masking in float64."""

from __future__ import annotations

import numpy as np
import pytest

from components.imaging.degrade.halo import Halo, halo
from tests.components.imaging.degrade.test_filters import HERE, by_hand, made


@pytest.mark.parametrize(("amount", "sigma"), [(100, 0.6), (230, 1.1), (400, 2.5)])
def test_halos_are_their_formula(amount, sigma):
    reach = int(np.ceil(4 * sigma))
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    blurred = by_hand(made(), np.outer(line, line) / line.sum() ** 2)
    wanted = np.clip(made() + amount / 100 * (made() - blurred), 0, 255)
    np.testing.assert_allclose(halo(made(), Halo(amount_percent=amount, sigma_px=sigma), HERE), wanted, atol=2e-3)


def test_an_edge_gets_a_bright_and_a_dark_side_and_flat_parts_stay():
    image = np.full((20, 40, 3), 80, np.float32)
    image[:, 20:] = 160
    found = halo(image, Halo(amount_percent=200, sigma_px=1.5), HERE)[10, :, 0]
    assert found[19] < 40
    assert found[20] > 200
    np.testing.assert_allclose(found[[2, 37]], [80, 160], atol=0.01)
    np.testing.assert_array_equal(halo(image, Halo(amount_percent=0, sigma_px=1.5), HERE), image)
