"""Recipes: drawn from their key alone, applied to the same bytes anywhere."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from components.errors import SettingsError, UnknownName
from components.imaging.degrade import recipe
from components.records import canonical_json

PINNED = {
    "moderate": (
        "c832a9b4940512e60697e581b168ca783eab3f58034cb998830f078af613c34c",
        "6669e55be61d424df02f225b225f016c88da40c6d35d7f655950e4a91eb7dbf7",
    ),
    "heavy": (
        "b1a4cbc298bc4c90ecb4aad01f892b98dc192fcb47296cc845f2c752d0879a72",
        "b2423b017632d541ef6cf387de45e1199e67465af07147371a26227ea2c0d60f",
    ),
}
"""Benchmarks are frozen: sha256 of 50 drawn recipes and of 8 LQ pictures (Pillow's libjpeg-turbo 3)."""


def made_image(height: int = 150, width: int = 203) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    channels = [rows * 3 + columns, rows ^ columns, (rows * columns) // 7]
    return (np.stack(channels, axis=-1) % 256).astype(np.uint8)


def lq_digest(name: str) -> str:
    digest = hashlib.sha256()
    for number in range(8):
        drawn = recipe.draw(0, f"image-{number}", 0, recipe.preset(name))
        digest.update(recipe.apply(made_image(), drawn)[1].tobytes())
    return digest.hexdigest()


def recipe_digest(name: str) -> str:
    drawn = [recipe.draw(7, f"image-{number}", number % 4, recipe.preset(name)) for number in range(50)]
    return hashlib.sha256(
        "".join(canonical_json(one.model_dump(exclude={"sharpen", "made_with", "variant"})) for one in drawn).encode()
    ).hexdigest()


@pytest.mark.parametrize("name", PINNED)
def test_frozen_preset_draws_its_pinned_recipes(name):
    assert recipe_digest(name) == PINNED[name][0]


@pytest.mark.parametrize("name", PINNED)
def test_frozen_preset_makes_its_pinned_lq_bytes(name):
    assert lq_digest(name) == PINNED[name][1]


def test_another_process_makes_the_same_bytes():
    program = "import sys; sys.path.insert(0, sys.argv[1]); import test_recipe; print(test_recipe.lq_digest('tiny'))"
    folder = __file__.rpartition("/")[0]
    other = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == lq_digest("tiny")


def test_recipe_survives_its_json():
    drawn = recipe.draw(3, "a", 2, recipe.preset("tiny"))
    again = recipe.Recipe.model_validate_json(canonical_json(drawn))
    assert again == drawn


def test_each_part_of_the_key_changes_the_draw():
    settings = recipe.preset("moderate")
    drawn = {
        canonical_json(recipe.draw(*key, settings)) for key in [(0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1), (0, "a1", 0)]
    }
    assert len(drawn) == 5


def test_crop_side_changes_no_other_value():
    settings = recipe.preset("tiny")
    drawn = recipe.draw(0, "a", 0, settings)
    smaller = recipe.draw(0, "a", 0, settings.model_copy(update={"crop_px": 64}))
    assert smaller.model_copy(update={"crop_px": 128}) == drawn


@pytest.mark.parametrize(("name", "noise", "quality"), [("moderate", (3, 25), (40, 90)), ("heavy", (25, 50), (30, 90))])
def test_draws_fill_their_ranges_and_stay_inside(name, noise, quality):
    steps = [recipe.draw(0, str(number), 0, recipe.preset(name)).steps for number in range(2000)]
    blurs = [step[0].sigma_px for step in steps]
    scales = [step[1].scale for step in steps]
    sigmas = [step[2].sigma_u8 for step in steps]
    qualities = [step[3].quality for step in steps]
    for values, (low, high) in ((blurs, (0.3, 1.4)), (scales, (0.5, 1.0)), (sigmas, noise), (qualities, quality)):
        assert low <= min(values) <= low + 0.01 * (high - low) + 1e-9
        assert high - 0.01 * (high - low) - 1e-9 <= max(values) <= high


def test_tiny_mixes_near_clean_and_heavy_in_its_shares():
    sigmas = np.array([recipe.draw(0, str(number), 0, recipe.preset("tiny")).steps[2].sigma_u8 for number in range(4000)])
    assert np.mean(sigmas < 3) == pytest.approx(0.15, abs=0.02)
    assert np.mean(sigmas > 25) == pytest.approx(0.25, abs=0.02)


def test_crop_is_cut_from_the_picture_and_lq_has_its_size():
    hq_u8 = made_image(130, 140)
    drawn = recipe.draw(0, "a", 0, recipe.preset("tiny")).model_copy(update={"flip": False, "top": 0.999999, "left": 0.0})
    crop_u8, lq_u8 = recipe.apply(hq_u8, drawn)
    np.testing.assert_array_equal(crop_u8, hq_u8[2:130, 0:128])
    assert lq_u8.shape == (128, 128, 3)
    assert lq_u8.dtype == np.uint8


def test_flip_mirrors_the_crop():
    drawn = recipe.draw(0, "a", 0, recipe.preset("moderate")).model_copy(update={"flip": True})
    crop_u8, _ = recipe.apply(made_image(), drawn)
    np.testing.assert_array_equal(crop_u8, made_image()[:, ::-1])


def test_picture_exactly_as_large_as_the_crop_is_used_and_one_pixel_less_is_an_error():
    drawn = recipe.draw(0, "a", 0, recipe.preset("tiny"))
    assert recipe.apply(made_image(128, 128), drawn)[0].shape == (128, 128, 3)
    with pytest.raises(SettingsError, match="128x128"):
        recipe.apply(made_image(128, 127), drawn)


def test_recipe_of_another_version_is_refused():
    drawn = recipe.draw(0, "a", 0, recipe.preset("tiny")).model_copy(update={"operator": "degrade-0"})
    with pytest.raises(SettingsError, match="degrade-0"):
        recipe.apply(made_image(), drawn)


def test_unknown_preset_gets_a_suggestion():
    with pytest.raises(UnknownName, match="Did you mean 'moderate'"):
        recipe.preset("moderat")
