"""The anchors' JPEG beside scipy's cosine transform, and beside libjpeg."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.fft import dctn, idctn

from components.imaging import codec
from components.imaging.degrade import recipe
from components.imaging.degrade.anchor_jpeg import CHROMA, LUMA, AnchorJpeg, anchor_jpeg
from components.imaging.degrade.carrier import to_pixels
from components.imaging.degrade.jpeg import Jpeg, jpeg
from tests.components.imaging.degrade.test_chroma import TO_YCC
from tests.components.imaging.degrade.test_filters import HERE, made
from tests.components.imaging.degrade.test_operators import photo_like


def by_formula(image, quality):
    """Block by block, in float64."""
    height, width = image.shape[:2]
    scale = (5000 / quality if quality < 50 else 200 - 2 * quality) / 100
    chroma = np.full((8, 8), 99.0)
    chroma[:4, :4] = CHROMA
    ycc = np.pad(image.astype(np.float64), ((0, -height % 16), (0, -width % 16), (0, 0))) @ TO_YCC.T + [0, 128, 128]
    planes = []
    for channel, table in enumerate((np.array(LUMA).T, chroma, chroma)):
        plane = ycc[..., channel]
        if channel:
            plane = plane.reshape(plane.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3))
        for row in range(0, plane.shape[0], 8):
            for column in range(0, plane.shape[1], 8):
                part = np.s_[row : row + 8, column : column + 8]
                coefficients = dctn(plane[part] - 128, norm="ortho")
                plane[part] = idctn(np.rint(coefficients / (table * scale)) * table * scale, norm="ortho") + 128
        planes.append(plane.repeat(2, axis=0).repeat(2, axis=1) if channel else plane)
    y, cb, cr = planes[0], planes[1] - 128, planes[2] - 128
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    return np.clip(rgb, 0, 255)[:height, :width]


@pytest.mark.parametrize("quality", [12.5, 30.0, 49.9, 50.0, 77.3, 95.0])
def test_it_is_its_formula(quality):
    for image in (made(40, 53), photo_like(48, 64)):
        away = np.abs(anchor_jpeg(image, AnchorJpeg(quality=quality), HERE) - by_formula(image, quality))
        # a coefficient in the middle of a step may fall to the other side, and takes its block along
        assert np.quantile(away, 0.98) < 2e-3


def test_it_is_some_levels_away_from_libjpeg(test_data):
    for name in ("kodim05", "kodim08", "kodim23"):
        image = to_pixels(codec.decode((test_data / "photos_hq" / f"{name}.png").read_bytes()).image_u8)
        away = anchor_jpeg(image, AnchorJpeg(quality=30), HERE) - jpeg(image, Jpeg(quality=30), HERE)
        assert 3 < np.sqrt((away**2).mean()) < 9


def test_the_anchors_jpeg_takes_the_place_of_libjpeg_and_changes_nothing_else():
    settings = recipe.preset("dreamclear")
    other = settings.model_copy(update={"variants": (settings.variants[0].model_copy(update={"jpeg": "anchor"}),)})
    for number in range(50):
        real, anchor = (recipe.draw(0, str(number), 0, one) for one in (settings, other))
        assert [step.kind for step in anchor.steps] == [step.kind.replace("jpeg", "anchor_jpeg") for step in real.steps]
        for one, two in zip(real.steps, anchor.steps, strict=True):
            assert one == two or abs(one.quality - two.quality) <= 1
        assert "+" in anchor.made_with
        assert recipe.Recipe.unpack(anchor.pack()) == anchor
