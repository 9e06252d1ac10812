from __future__ import annotations

import cv2
import numpy as np
import pytest

from components.imaging import prints


def texture(seed: int, height: int = 300, width: int = 400) -> np.ndarray:
    """A made picture with detail at every scale, like no other seed's."""
    generator = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]) + 1 / width
    waves = generator.normal(size=frequency.shape) + 1j * generator.normal(size=frequency.shape)
    plane = np.fft.irfft2(waves / frequency**1.2, (height, width))
    return np.clip(128 + 50 * plane / plane.std(), 0, 255).astype(np.uint8)


def compare(first: np.ndarray, second: np.ndarray) -> prints.Overlap | None:
    return prints.overlap(prints.fingerprint(first), prints.fingerprint(np.ascontiguousarray(second)))


def jpeg(luma_u8: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", luma_u8, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)


COPIES = {
    "re-encoded": lambda luma_u8: jpeg(luma_u8, 50),
    "half": lambda luma_u8: cv2.resize(luma_u8, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "double": lambda luma_u8: cv2.resize(luma_u8, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC),
    "mirrored": lambda luma_u8: luma_u8[:, ::-1],
    "turned": np.rot90,
    "darkened": lambda luma_u8: luma_u8 // 4,
    "straightened by 3 degrees": lambda luma_u8: cv2.warpAffine(
        luma_u8, cv2.getRotationMatrix2D((200, 150), 3, 1.1), (400, 300), flags=cv2.INTER_CUBIC
    ),
}


@pytest.mark.parametrize("change", COPIES)
def test_a_changed_copy_shares_nearly_all_of_itself(change):
    original = texture(1)
    assert compare(original, COPIES[change](original)).share > 0.9


def test_a_quarter_cut_from_a_corner_is_placed_where_it_came_from():
    original = texture(2)
    found = compare(original, original[150:, 200:])
    assert found.scale == pytest.approx(2, rel=0.02)
    assert found.translation == pytest.approx((-1, -1), abs=0.02)
    assert found.rotation_degrees == pytest.approx(0, abs=0.5)
    assert not found.mirrored
    assert found.first_share == pytest.approx(0.25, abs=0.03)
    assert found.second_share > 0.9


def test_a_mirrored_copy_is_said_to_be_mirrored():
    original = texture(3)
    found = compare(original, original[:, ::-1])
    assert found.mirrored
    assert found.translation == pytest.approx((1, 0), abs=0.02)


def test_a_quarter_turn_is_said_to_be_one():
    original = texture(3)
    assert compare(original, np.rot90(original)).rotation_degrees == pytest.approx(90, abs=0.5)


def test_a_black_border_takes_nothing_from_the_picture_inside():
    original = texture(4)
    found = compare(original, np.pad(original, 60))
    assert found.first_share > 0.9
    assert found.second_share == pytest.approx(300 * 400 / (420 * 520), abs=0.04)


def test_two_tiles_that_overlap_by_a_third_share_a_third():
    wide = texture(5, 300, 700)
    assert compare(wide[:, :420], wide[:, 280:]).share == pytest.approx(1 / 3, abs=0.05)


def test_different_pictures_share_nothing():
    taken = [prints.fingerprint(texture(seed)) for seed in range(20, 40)]
    assert not [1 for i, first in enumerate(taken) for second in taken[:i] if prints.overlap(first, second)]


def test_one_watermark_does_not_make_two_pictures_one():
    marked = [texture(seed) for seed in (6, 7)]
    for luma_u8 in marked:
        cv2.putText(luma_u8, "SAMPLE", (60, 280), cv2.FONT_HERSHEY_DUPLEX, 2.0, 255, 3, cv2.LINE_AA)
    found = compare(*marked)
    assert found is None or found.share < 0.25


def test_one_letterhead_does_not_make_two_pages_one():
    pages = []
    for seed in (1, 2):
        page = np.full((600, 440), 245, np.uint8)
        cv2.putText(page, "ACME & SONS", (20, 60), cv2.FONT_HERSHEY_TRIPLEX, 1.5, 20, 2, cv2.LINE_AA)
        words = np.random.default_rng(seed).choice(list("aeioutnrslcdm "), (26, 40))
        for line, letters in enumerate(words):
            cv2.putText(page, "".join(letters), (20, 120 + 18 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 20, 1, cv2.LINE_AA)
        pages.append(page)
    found = compare(*pages)
    assert found is None or found.share < 0.5


def test_pieces_of_one_regular_pattern_prove_nothing():
    motif = np.kron(np.random.default_rng(0).integers(0, 256, (6, 6)), np.ones((8, 8))).astype(np.uint8)
    wall = np.tile(motif, (20, 20))
    found = compare(wall[:300, :400], wall[500:760, 500:900])
    assert found is None or found.share < 0.8


def test_ramps_are_not_joined():
    y, x = np.mgrid[0:1:300j, 0:1:400j]
    ramps = [(start + 90 * y + slope * x).astype(np.uint8) for start, slope in ((20, 30), (120, 10))]
    assert compare(*ramps) is None


def test_a_smooth_picture_with_a_shape_of_its_own_is_found_re_encoded_and_mirrored():
    y, x = np.mgrid[0:1:300j, 0:1:400j]
    smooth = (90 + 60 * np.exp(-((x - 0.3) ** 2 + (y - 0.6) ** 2) / 0.05) + 30 * y).astype(np.uint8)
    assert compare(smooth, jpeg(smooth[:, ::-1], 60)).share > 0.9


def test_a_picture_of_one_level_has_no_print():
    assert prints.fingerprint(np.full((100, 100), 7, np.uint8)) == b""


def test_what_has_no_print_shares_nothing():
    taken = prints.fingerprint(texture(1))
    assert prints.overlap(b"", taken) is None
    assert prints.overlap(taken, b"") is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 3000), (32, 32), (240, 240)])
def test_small_and_thin_pictures_have_prints_that_compare(shape):
    luma_u8 = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    taken = prints.fingerprint(luma_u8)
    prints.overlap(taken, taken)
    assert len(taken) < 3200


def test_a_picture_of_240_px_is_found_in_its_corner_crop():
    original = texture(8, 240, 240)
    assert compare(original, original[:120, :120]).share > 0.9


def test_a_print_does_not_depend_on_threads():
    luma_u8 = texture(9, 1000, 1400)
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        alone = prints.fingerprint(luma_u8)
        cv2.setNumThreads(2)
        assert prints.fingerprint(luma_u8) == alone
    finally:
        cv2.setNumThreads(threads)
