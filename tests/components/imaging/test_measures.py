"""Statistics of pictures whose values are known beforehand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from components.errors import UnknownName
from components.imaging import codec, sharpness
from components.imaging.measures import CHEAP, STATISTICS, jpeg_quality, measure


@pytest.fixture(scope="module")
def photo_u8(test_data):
    return codec.decode((test_data / "photos_hq" / "kodim03.png").read_bytes()).image_u8


def test_a_flat_picture_has_a_brightness_and_nothing_else():
    found = measure(np.full((300, 400, 3), 99, np.uint8))
    assert list(found) == list(CHEAP)
    assert found["brightness"] == 99
    assert (found["contrast"], found["blur"], found["noise"], found["colourfulness"]) == (0, 0, 0, 0)
    assert found["flat_share"] == 1
    assert found["megapixels"] == pytest.approx(0.12)
    assert math.isnan(found["jpeg_quality"])


def test_blur_and_flat_share_are_those_of_curation(photo_u8):
    found = measure(photo_u8)
    assert (found["blur"], found["flat_share"]) == sharpness.score(codec.luma(codec.encode_png(photo_u8)))


@pytest.mark.parametrize("sigma", [2.0, 5.0, 15.0])
def test_the_noise_that_was_added_is_estimated(photo_u8, sigma):
    grey = np.full((400, 400, 3), 128, np.uint8)
    noise = np.random.default_rng(0).normal(0, sigma, (400, 400, 1))
    assert measure(np.rint(grey + noise).astype(np.uint8), names=["noise"])["noise"] == pytest.approx(sigma, rel=0.1)
    before = measure(photo_u8, names=["noise"])["noise"]
    noisy = np.rint((photo_u8 + np.random.default_rng(1).normal(0, sigma, (*photo_u8.shape[:2], 1))).clip(0, 255)).astype(
        np.uint8
    )
    assert measure(noisy, names=["noise"])["noise"] == pytest.approx(math.hypot(before, sigma), rel=0.25)


def test_colourfulness_is_its_formula_on_two_colours():
    picture = np.zeros((2, 2, 3), np.uint8)
    picture[0], picture[1] = (200, 0, 0), (0, 0, 100)
    across, down = np.array([200, 0]), np.array([100, -100])
    expected = math.hypot(across.std(), down.std()) + 0.3 * math.hypot(across.mean(), down.mean())
    assert measure(picture, names=["colourfulness"])["colourfulness"] == pytest.approx(expected)


@pytest.mark.parametrize("quality", [1, 10, 30, 49, 50, 75, 90, 95, 100])
def test_the_quality_of_a_jpeg_is_that_it_was_written_with(photo_u8, quality):
    assert jpeg_quality(codec.encode_jpeg(photo_u8[:64, :64], quality)) == pytest.approx(quality, abs=2)


def test_files_that_are_no_whole_jpeg_have_no_quality(photo_u8):
    whole = codec.encode_jpeg(photo_u8[:64, :64], 80)
    start = whole.index(b"\xff\xdb")
    for file in (
        b"",
        b"\xff\xd8",
        codec.encode_png(photo_u8[:8, :8]),
        whole[: start + 20],
        b"\xff\xd8" + whole[start + 69 :][:0] + b"\xff\xda",
    ):
        assert math.isnan(jpeg_quality(file))


def test_a_picture_of_one_pixel_is_measured():
    assert measure(np.zeros((1, 1, 3), np.uint8))["noise"] == 0


def test_an_unknown_statistic_gets_a_suggestion():
    assert set(CHEAP) < set(STATISTICS)
    with pytest.raises(UnknownName, match="Did you mean 'contrast'"):
        measure(np.zeros((8, 8, 3), np.uint8), names=["contrst"])
