"""Faults that are made are found at their limit, and pictures that are merely restored pass."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from components.errors import UnknownName
from components.imaging import codec
from components.imaging.degrade.recipe import apply, draw, preset
from components.imaging.inspection import CHECKS, InspectSettings, inspect
from components.imaging.inspection.seen import noise

SIDE_PX = 256
TILE = np.s_[96:160, 64:128]


@pytest.fixture(scope="module")
def hq_u8():
    """Blocks of several colours with texture everywhere, away from both ends of the scale."""
    generator = np.random.default_rng(0)
    blocks = cv2.resize(generator.integers(60, 196, (16, 16, 3), np.uint8), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)
    fine = cv2.GaussianBlur(generator.normal(0, 40, (SIDE_PX, SIDE_PX)), (0, 0), 1.5)
    return np.rint((blocks + fine[..., None]).clip(20, 235)).astype(np.uint8)


@pytest.fixture(scope="module")
def lq_u8(hq_u8):
    """The same, blurred and noisy."""
    noisy = cv2.GaussianBlur(hq_u8, (0, 0), 1) + np.random.default_rng(1).normal(0, 5, hq_u8.shape)
    return np.rint(noisy.clip(0, 255)).astype(np.uint8)


def failed(lq_u8, restored, lrp=None, **limits):
    return {one.check for one in inspect(lq_u8, lrp, restored, InspectSettings(**limits)).failed}


def finding(lq_u8, restored, check, lrp=None):
    (one,) = inspect(lq_u8, lrp, restored, InspectSettings(checks=(check,))).found
    return one


def turned(image_u8, degrees):
    lab = cv2.cvtColor(image_u8.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    chroma = (lab[..., 1] + 1j * lab[..., 2]) * np.exp(1j * np.radians(degrees))
    lab[..., 1], lab[..., 2] = chroma.real, chroma.imag
    return np.rint(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB).clip(0, 1) * 255).astype(np.uint8)


def with_tile(image_u8, tile_u8):
    made = image_u8.copy()
    made[TILE] = tile_u8
    return made


def moved(image_u8, px):
    return np.pad(image_u8, ((0, 0), (px, 0), (0, 0)), mode="edge")[:, : image_u8.shape[1]]


def test_the_truth_passes_every_check_beside_its_lq(hq_u8, lq_u8):
    found = inspect(lq_u8, None, hq_u8)
    assert [one.check for one in found.found] == list(CHECKS)
    assert found.passed
    assert 0 < found.severity <= 1
    assert found.failed == ()


def test_a_value_at_its_limit_passes_and_one_above_does_not(hq_u8, lq_u8):
    seen = finding(lq_u8, hq_u8, "consistency").value
    assert failed(lq_u8, hq_u8, checks=("consistency",), consistency_u8=seen) == set()
    assert failed(lq_u8, hq_u8, checks=("consistency",), consistency_u8=np.nextafter(seen, 0)) == {"consistency"}


@pytest.mark.parametrize(
    ("check", "tile"),
    [
        ("consistency", lambda hq: np.zeros((64, 64, 3), np.uint8)),
        ("consistency", lambda hq: hq[160:224, 176:240]),
        ("structure", lambda hq: hq[160:224, 176:240]),
        ("structure", lambda hq: cv2.GaussianBlur(hq, (0, 0), 12)[TILE]),
        ("structure", lambda hq: hq[TILE][::-1, ::-1]),
        ("sharpness", lambda hq: np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)),
        ("clipping", lambda hq: np.full((64, 64, 3), 255, np.uint8)),
    ],
    ids=["black", "of another place", "of another place, finely", "blurred", "turned around", "noise", "blown"],
)
def test_a_bad_tile_is_found_where_it_is(hq_u8, lq_u8, check, tile):
    one = finding(lq_u8, with_tile(hq_u8, tile(hq_u8)), check)
    assert not one.passed
    assert one.severity > 1
    if one.where:
        top, left, height, width = one.where
        assert top < 160
        assert top + height > 96
        assert left < 128
        assert left + width > 64


def test_a_shift_is_measured_in_px_and_half_a_pixel_passes(hq_u8, lq_u8):
    for px in (3, 8):
        one = finding(lq_u8, moved(hq_u8, px), "shift")
        assert not one.passed
        assert one.value > px / 3
    half = cv2.resize(moved(cv2.resize(hq_u8, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), 1), (SIDE_PX, SIDE_PX))
    assert finding(lq_u8, half, "shift").passed


def test_a_turn_of_the_hues_is_measured_in_degrees(hq_u8, lq_u8):
    limit = InspectSettings().hue_degrees
    assert finding(lq_u8, turned(hq_u8, 15), "hue").value == pytest.approx(15, abs=2)
    assert finding(lq_u8, turned(hq_u8, limit - 2), "hue").passed
    assert not finding(lq_u8, turned(hq_u8, limit + 2), "hue").passed
    grey = np.repeat(hq_u8[..., :1], 3, axis=2)
    assert finding(grey, turned(grey, 90), "hue").passed


def test_a_cast_is_found_though_hues_keep_their_angle(hq_u8, lq_u8):
    cast = np.rint(hq_u8 * (1.25, 1.0, 0.8)).clip(0, 255).astype(np.uint8)
    assert "colour" in failed(lq_u8, cast)


def test_clipped_pixels_count_up_to_the_share_that_is_allowed(hq_u8, lq_u8):
    rows = np.arange(SIDE_PX)[:, None] < 3
    share = 3 / SIDE_PX  # 1.17 %
    blown = np.where(rows[..., None], 255, hq_u8).astype(np.uint8)
    assert finding(lq_u8, blown, "clipping").value == pytest.approx(share)
    assert finding(lq_u8, blown, "clipping").passed
    assert not finding(lq_u8, np.where(rows[..., None] | (rows.T[..., None]), 255, hq_u8).astype(np.uint8), "clipping").passed


def test_an_area_that_is_white_in_the_lq_may_be_white():
    white = np.full((64, 64, 3), 255, np.uint8)
    noisy = np.rint((white - np.random.default_rng(0).normal(0, 30, white.shape)).clip(0, 255)).astype(np.uint8)
    assert finding(noisy, white, "clipping").passed


def test_the_lq_itself_is_refused_and_a_plain_picture_is_not(hq_u8, lq_u8):
    assert failed(lq_u8, lq_u8) == {"changed"}
    assert failed(hq_u8, hq_u8) == {"changed"}
    plain = np.full((64, 64, 3), 77, np.uint8)
    assert failed(plain, plain) == set()


def test_hardly_a_change_is_a_fault_only_where_something_was_to_be_done(hq_u8, lq_u8):
    def touched(image_u8):
        return image_u8 + (np.random.default_rng(0).random(image_u8.shape) < 0.3).astype(np.uint8)

    assert failed(lq_u8, touched(lq_u8)) == {"changed"}
    clean = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 256, hq_u8.shape).astype(np.float32), (0, 0), 1.4)
    clean = np.rint((clean - 128) * 3 + 128).clip(20, 230).astype(np.uint8)
    assert noise(cv2.cvtColor(clean, cv2.COLOR_RGB2GRAY)) > 0
    mild = cv2.GaussianBlur(hq_u8, (0, 0), 1.2)
    sentence = finding(mild, touched(mild), "changed", lrp=mild).sentence
    assert "needed nothing" in sentence
    assert not finding(mild, touched(mild), "changed", lrp=hq_u8).passed


def test_a_flat_and_a_black_result_have_lost_their_contrast(hq_u8, lq_u8):
    for level in (0, 128, 255):
        assert {"contrast", "consistency"} <= failed(lq_u8, np.full_like(hq_u8, level))


def test_values_that_are_no_numbers_are_the_worst_fault(hq_u8, lq_u8):
    floats = hq_u8.astype(np.float32) / 255
    assert failed(lq_u8, floats) == set()
    floats[3, 4, 1] = np.nan
    worst = inspect(lq_u8, None, floats).failed[0]
    assert worst.check == "finite"
    assert worst.value == pytest.approx(1 / floats.size)


def test_the_lrp_as_reference_finds_a_noisy_tile_that_a_noisy_lq_hides(hq_u8):
    lq_u8 = np.rint((hq_u8 + np.random.default_rng(4).normal(0, 40, hq_u8.shape)).clip(0, 255)).astype(np.uint8)
    lrp_u8 = cv2.GaussianBlur(hq_u8, (0, 0), 2)
    rough = with_tile(lrp_u8, np.rint((lrp_u8[TILE] + np.random.default_rng(5).normal(0, 30, (64, 64, 3))).clip(0, 255)))
    assert not finding(lq_u8, rough, "sharpness", lrp=lrp_u8).passed


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (15, 17), (63, 64), (100, 90)])
def test_small_pictures_are_judged_by_what_fits(size):
    generator = np.random.default_rng(0)
    lq_u8 = generator.integers(100, 140, (*size, 3), np.uint8)
    found = inspect(lq_u8, None, cv2.blur(lq_u8, (2, 2)))
    assert {one.check for one in found.found} | set(found.skipped) == set(CHECKS)
    assert found.passed
    assert not inspect(lq_u8, None, np.full_like(lq_u8, 250)).passed


def test_pictures_of_different_sizes_and_unknown_checks_are_refused(hq_u8, lq_u8):
    with pytest.raises(ValueError, match=r"one size, \(256, 256, 3\) as the LQ; the restored picture has \(255, 256, 3\)"):
        inspect(lq_u8, None, hq_u8[1:])
    with pytest.raises(UnknownName, match="Did you mean 'shift'"):
        inspect(lq_u8, None, hq_u8, InspectSettings(checks=("shfit",)))


def test_photos_smoothed_by_a_filter_raise_no_alarm(test_data):
    """A mild restoration of real photos under real recipes; the rate over many more is in docs/quality-control.md."""
    for path in sorted((test_data / "photos_hq").glob("kodim*"))[:6]:
        photo = codec.decode(path.read_bytes()).image_u8[100:356, 100:356]
        _, lq_u8 = apply(np.ascontiguousarray(photo), draw(0, path.name, 0, preset("moderate")))
        smooth = cv2.bilateralFilter(lq_u8, 9, 60, 3)
        assert failed(lq_u8, smooth) == set(), path.name
