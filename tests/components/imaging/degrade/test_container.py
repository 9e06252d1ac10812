"""WebP and AVIF are the codec's, and what is missing is said."""

from __future__ import annotations

import numpy as np
import pytest

from components.errors import SettingsError
from components.imaging import codec
from components.imaging.codec import writing
from components.imaging.degrade import versions
from components.imaging.degrade.carrier import to_image
from components.imaging.degrade.container import Avif, Webp, avif, webp
from tests.components.imaging.degrade.test_filters import HERE
from tests.components.imaging.degrade.test_operators import photo_like

needs_avif = pytest.mark.skipif(not codec.avif_version(), reason="Pillow has no AVIF encoder here")


def test_webp_is_the_codec_at_that_quality():
    expected = codec.decode(codec.encode_webp(to_image(photo_like()), 40)).image_u8
    np.testing.assert_array_equal(webp(photo_like(), Webp(quality=40), HERE), expected)
    assert codec.encode_webp(to_image(photo_like()), 40)[8:16] == b"WEBPVP8 "


@needs_avif
def test_avif_is_the_codec_at_that_quality():
    expected = codec.decode(codec.encode_avif(to_image(photo_like()), 40)).image_u8
    np.testing.assert_array_equal(avif(photo_like(), Avif(quality=40), HERE), expected)


@needs_avif
@pytest.mark.parametrize(("make", "step"), [(webp, Webp), (avif, Avif)])
def test_lower_quality_is_further_away(make, step):
    far, near = (np.abs(make(photo_like(), step(quality=quality), HERE) - photo_like()).mean() for quality in (15, 90))
    assert far > 2 * near


@needs_avif
@pytest.mark.parametrize(("webp_quality", "avif_quality", "jpeg_quality"), [(15, 35, 30), (90, 85, 95)])
def test_qualities_of_the_ranges_lose_what_jpeg_loses(test_data, webp_quality, avif_quality, jpeg_quality):
    photo_u8 = codec.decode((test_data / "photos_hq" / "kodim07.png").read_bytes()).image_u8[128:384, 128:512]
    files = (
        codec.encode_jpeg(photo_u8, jpeg_quality),
        codec.encode_webp(photo_u8, webp_quality),
        codec.encode_avif(photo_u8, avif_quality),
    )
    jpeg, *others = (
        10 * np.log10(255**2 / np.mean((codec.decode(file).image_u8 - photo_u8.astype(float)) ** 2)) for file in files
    )
    assert max(abs(jpeg - other) for other in others) < 2.5


def test_a_picture_too_long_for_webp_is_refused():
    with pytest.raises(SettingsError, match="16384x1"):
        webp(np.zeros((1, 16_384, 3), np.float32), Webp(quality=50), HERE)


def test_without_an_avif_encoder_only_recipes_with_avif_are_refused(monkeypatch):
    monkeypatch.setattr(writing, "avif_version", lambda: "")
    versions._digest.cache_clear()
    versions._stamp.cache_clear()
    versions.stamp(set(versions.EXTRAS) - {"avif"})
    with pytest.raises(SettingsError, match=r"Expected a Pillow with libavif .* switch AVIF off"):
        versions.stamp({"avif"})
    versions._digest.cache_clear()
    versions._stamp.cache_clear()
