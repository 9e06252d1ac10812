"""The bilateral filter is a real opponent: better than doing nothing."""

from __future__ import annotations

import numpy as np
import pytest

from components.imaging import codec
from components.imaging.baseline import bilateral
from components.imaging.degrade import recipe


def psnr(first, second):
    return 10 * np.log10(255**2 / np.mean((first.astype(float) - second) ** 2))


@pytest.mark.parametrize("preset", ["moderate", "heavy"])
def test_filter_is_nearer_to_hq_than_lq_is(preset, test_data):
    hq_u8 = codec.decode((test_data / "photos_hq" / "kodim23.png").read_bytes()).image_u8[100:356, 200:456]
    gains = []
    for number in range(6):
        hq_u8, lq_u8 = recipe.apply(hq_u8, recipe.draw(0, str(number), 0, recipe.preset(preset)))
        gains.append(psnr(bilateral(lq_u8), hq_u8) - psnr(lq_u8, hq_u8))
    assert np.mean(gains) > 0.5


def test_filter_keeps_size_and_flat_areas():
    grey = np.full((31, 17, 3), 90, np.uint8)
    np.testing.assert_array_equal(bilateral(grey), grey)
