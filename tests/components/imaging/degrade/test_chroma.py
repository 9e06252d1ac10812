"""Subsampled colour beside float64."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from components.imaging.degrade.carrier import to_image
from components.imaging.degrade.chroma import BLOCKS, Chroma, Layout, chroma
from tests.components.imaging.degrade.test_filters import HERE, made

TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


def by_formula(image, block, upsampling):
    """JFIF colours, rounded where a file rounds them: whole luma, whole means, whole colours between them."""
    colours = np.rint(to_image(image).astype(np.float64) @ TO_YCC.T + [0, 128, 128])
    rows, columns = block
    height, width = image.shape[:2]
    for channel in (1, 2):
        padded = np.pad(colours[..., channel], ((0, -height % rows), (0, -width % columns)), mode="edge")
        small = np.rint(padded.reshape(padded.shape[0] // rows, rows, -1, columns).mean(axis=(1, 3)))
        for axis, times in enumerate(block):
            middles = (np.arange(small.shape[axis]) + 0.5) * times - 0.5
            if upsampling == "repeated":
                small = small.repeat(times, axis=axis)
            else:
                pixels = np.arange(small.shape[axis] * times)
                small = np.apply_along_axis(lambda line, at=pixels, by=middles: np.interp(at, by, line), axis, small)
        colours[..., channel] = small[:height, :width]
    return np.clip((colours - [0, 128, 128]) @ np.linalg.inv(TO_YCC).T, 0, 255)


@pytest.mark.parametrize("upsampling", ["repeated", "linear"])
@pytest.mark.parametrize("layout", get_args(Layout))
def test_subsampling_is_its_formula(layout, upsampling):
    found = chroma(made(41, 54), Chroma(layout=layout, upsampling=upsampling), HERE)
    away = np.abs(found - by_formula(made(41, 54), BLOCKS[layout], upsampling))
    # whole numbers on the way: one level of a chroma that fell to the other side is 1.77 of blue
    assert away.max() < 4
    assert away.mean() < 0.8


def test_grey_stays_grey_and_luma_stays_sharp():
    grey = made()[..., :1].repeat(3, axis=2)
    np.testing.assert_array_equal(chroma(grey, Chroma(layout="4:1:0", upsampling="linear"), HERE), to_image(grey))


def test_colour_bleeds_over_as_many_pixels_as_the_layout_says():
    image = np.full((8, 16, 3), 100, np.float32)
    image[3, 5] = [220, 60, 60]
    for layout, (rows, columns) in BLOCKS.items():
        found = chroma(image, Chroma(layout=layout, upsampling="repeated"), HERE)
        coloured = np.ptp(found, axis=2) > 2
        assert coloured.sum() == rows * columns
        assert coloured[3, 5]
