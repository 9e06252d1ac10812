"""From a folder of awkward files to a folder of results: each keeps what its input carried. The network is the miniature's."""

from __future__ import annotations

import io

import cv2
import numpy as np
import PIL.Image
import pytest

from components.backends import manifest
from components.backends.storage import LocalStorage
from components.imaging.sampler import SamplerSettings
from components.restore.model import Model
from components.restore.run import Batch, restore
from components.restore.settings import RestoreSettings
from flows.settings import load

QUICK = SamplerSettings(steps=1, start=0.2, shift="none")
MAKE, ORIENTATION = 0x010F, 0x0112
PORTRAITS = (1, 3, 6, 8)
FILES = (
    "sharp_p3.png",
    "Google-Pixel2XL-16bit_acescg_g1_v4_krita.png",
    "sharp_16-bit-grey-alpha.png",
    "pngsuite_basi0g16.png",
    "pngsuite_basn2c16.png",
    "pngsuite_basi4a16.png",
    "pngsuite_basi6a16.png",
    "pil_16bit.cropped.tif",
    "pngsuite_basn4a08.png",
    "pngsuite_tbbn3p08.png",
    "pil_p_trns_single.png",
    "pil_transparent.webp",
    "pil_avif_transparency.avif",
    "pngsuite_exif2c08.png",
    "pil_hopper_orientation_6.jpg",
    "pil_pil_sample_rgb.jpg",
    "pil_pil_sample_cmyk.jpg",
    "sharp_rotating-squares.gif",
    "syn_1px.png",
    "pil_truncated_jpeg.jpg",
)
WIDE = ("P3-sRGB-color-ring.png", "R2020-sRGB-blue.png")


@pytest.fixture(scope="module")
def results(test_data, tmp_path_factory):
    """Bytes of input and output by the input's name; files that are too large for a quick test are made small."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "in").mkdir()
    for name in FILES:
        (folder / "in" / name).write_bytes((test_data / "nasty" / name).read_bytes())
    for name in WIDE:
        image = PIL.Image.open(test_data / "nasty" / name)
        image.crop((180, 180, 228, 228)).save(folder / "in" / name, icc_profile=image.info["icc_profile"])
    for number in PORTRAITS:
        image = PIL.Image.open(test_data / "nasty" / f"Portrait_{number}.jpg")
        image.reduce(20).save(folder / "in" / f"Portrait_{number}.png", exif=image.info["exif"])
    PIL.Image.new("RGB", (2000, 3), "teal").save(folder / "in" / "long.png")
    model = Model("m/1", load("tiny").base_folder, None, QUICK)
    places = {"output": f"{folder}/out", "state": f"sqlite:///{folder}/state.db", "objects": f"{folder}/objects"}
    made = restore([str(folder / "in")], Batch(model=model, settings=RestoreSettings(), **places, restorer=model.load()))
    found = {}
    for row in manifest.rows(LocalStorage(folder / "objects"), made.manifest):
        output = (folder / "out" / row["output"]).read_bytes() if row["verdict"] == "kept" else row["reason"].encode()
        found[row["origin"]] = ((folder / "in" / row["origin"]).read_bytes(), output)
    return found


def opened(data):
    image = PIL.Image.open(io.BytesIO(data))
    image.load()
    return image


def stored(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def test_each_file_has_a_result_of_its_upright_size_or_a_reason(results):
    assert results["pil_truncated_jpeg.jpg"][1] == b"truncated"
    whole = {name: pair for name, pair in results.items() if name != "pil_truncated_jpeg.jpg"}
    for name, (before, after) in whole.items():
        turned = opened(before).getexif().get(ORIENTATION, 1) > 4
        assert opened(after).size == (opened(before).size[::-1] if turned else opened(before).size), name
    assert len(results) == len(FILES) + len(WIDE) + len(PORTRAITS) + 1


@pytest.mark.parametrize("name", ["sharp_p3.png", "Google-Pixel2XL-16bit_acescg_g1_v4_krita.png", "sharp_16-bit-grey-alpha.png"])
def test_profile_is_kept_byte_for_byte(results, name):
    before, after = results[name]
    assert opened(after).info["icc_profile"] == opened(before).info["icc_profile"]


@pytest.mark.parametrize("name", [*WIDE, "pil_pil_sample_rgb.jpg"])
def test_profile_is_kept_and_the_colours_are_still_those_of_the_picture(results, name):
    before, after = results[name]
    assert opened(after).info["icc_profile"] == opened(before).info["icc_profile"]
    mean = [np.asarray(opened(data).convert("RGB"), float).mean((0, 1)) for data in (before, after)]
    np.testing.assert_allclose(mean[1], mean[0], atol=12)


@pytest.mark.parametrize("name", [name for name in FILES if "16" in name and "tbb" not in name])
def test_16_bits_are_kept_and_used(results, name):
    before, after = results[name]
    assert after[24] == 16
    if before[:4] == b"\x89PNG":
        assert after[25] == before[25]  # grey stays grey, alpha stays
    assert len(np.unique(stored(after) % 257)) > 100  # not 8 bits made wider


@pytest.mark.parametrize(
    "name",
    [
        "pngsuite_basn4a08.png",
        "pngsuite_tbbn3p08.png",
        "pil_p_trns_single.png",
        "pil_transparent.webp",
        "pil_avif_transparency.avif",
    ],
)
def test_alpha_is_kept_unchanged(results, name):
    before, after = (np.asarray(opened(data).convert("RGBA"))[..., 3] for data in results[name])
    assert before.min() < 255
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("name", ["pngsuite_basi4a16.png", "pngsuite_basi6a16.png", "sharp_16-bit-grey-alpha.png"])
def test_alpha_of_16_bits_is_kept_unchanged(results, name):
    before, after = (stored(data)[..., 3] for data in results[name])
    np.testing.assert_array_equal(after, before)


def test_portraits_come_out_upright_and_equal(results):
    pictures = [opened(results[f"Portrait_{number}.png"][1]) for number in PORTRAITS]
    first = np.asarray(pictures[0], float)
    for picture in pictures:
        assert picture.size == (60, 90)
        assert picture.getexif()[ORIENTATION] == 1
        difference = np.asarray(picture, float) - first
        difference[38:50, 25:35] = 0  # each has its number there
        assert np.sqrt(np.mean(difference**2)) < 4
        assert np.sqrt(np.mean((np.asarray(picture, float)[:, ::-1] - first) ** 2)) > 20


def test_exif_is_kept_with_orientation_reset(results):
    before, after = (opened(data).getexif() for data in results["pngsuite_exif2c08.png"])
    assert {tag: value for tag, value in after.items() if tag != ORIENTATION} == {
        tag: value for tag, value in before.items() if tag != ORIENTATION
    }
    assert opened(results["pil_hopper_orientation_6.jpg"][1]).getexif()[ORIENTATION] == 1


def test_cmyk_becomes_an_rgb_jpeg_and_an_animation_its_first_frame(results):
    assert (opened(results["pil_pil_sample_cmyk.jpg"][1]).mode, results["pil_pil_sample_cmyk.jpg"][1][:2]) == ("RGB", b"\xff\xd8")
    assert getattr(opened(results["sharp_rotating-squares.gif"][1]), "n_frames", 1) == 1
