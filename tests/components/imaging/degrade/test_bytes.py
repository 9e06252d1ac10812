"""The same pair wherever it is made, or an error."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest

from components.backends.engine import map_shards
from components.errors import ManifestError, SettingsError
from components.imaging.degrade import recipe, versions

NAMES = ("dreamclear", "real-esrgan-x4plus", "mild", "tiny")


def made_image(height=150, width=203):
    rows, columns = np.mgrid[:height, :width]
    return (np.stack([rows * 3 + columns, rows ^ columns, (rows * columns) // 7], axis=-1) % 256).astype(np.uint8)


def digest(job):
    """Hash of the pair with a number."""
    number, crop_px = job
    settings = recipe.preset(NAMES[number % len(NAMES)]).model_copy(update={"crop_px": crop_px})
    packed = recipe.draw(3, f"image-{number}", number % 4, settings).pack()
    hq_u8, lq_u8 = recipe.apply(made_image(), recipe.Recipe.unpack(packed))
    assert hq_u8.shape == lq_u8.shape
    return hashlib.sha256(packed.encode() + hq_u8.tobytes() + lq_u8.tobytes()).hexdigest()


@pytest.mark.e2e
def test_one_process_two_processes_and_another_order_give_the_same_bytes():
    jobs = [(number, 96) for number in range(16)]
    alone = [digest(job) for job in jobs]
    assert map_shards(digest, jobs, workers=2) == alone
    shuffled = random.Random(0).sample(jobs, len(jobs))
    assert dict(zip(shuffled, map_shards(digest, shuffled, workers=2), strict=True)) == dict(zip(jobs, alone, strict=True))


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (1, 1), (5, 7), (64, 2000)])
@pytest.mark.parametrize("name", NAMES)
def test_thin_and_tiny_pictures_keep_their_size(name, shape):
    settings = recipe.preset(name).model_copy(update={"crop_px": None})
    for number in range(6):
        hq_u8, lq_u8 = recipe.apply(made_image(*shape), recipe.draw(0, str(number), 0, settings))
        assert hq_u8.shape == lq_u8.shape == (*shape, 3)


def test_a_picture_smaller_than_the_crop_is_refused():
    with pytest.raises(SettingsError, match="100x90"):
        recipe.apply(made_image(90, 100), recipe.draw(0, "a", 0, recipe.preset("dreamclear")))


def test_libraries_that_give_other_bytes_are_refused_and_other_versions_alone_are_not():
    settings = recipe.preset("tiny")
    drawn = recipe.draw(0, "a", 0, settings)
    digest_here, _, rest = versions.stamp().partition(" ")
    recipe.apply(made_image(), drawn.model_copy(update={"made_with": f"{digest_here} 9.9 {rest}"}))
    with pytest.raises(SettingsError, match="synthesize again"):
        recipe.apply(made_image(), drawn.model_copy(update={"made_with": f"00000000 {rest}"}))


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '["degrade-1","",64,0,0,0,0,[[99,1]]]', '["degrade-1","",64,0,0,0,0,[[3,400]]]', "7"]
)
def test_a_text_that_is_no_recipe_is_a_sentence(text):
    with pytest.raises(ManifestError, match="Expected"):
        recipe.Recipe.unpack(text)
