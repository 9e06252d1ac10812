"""The perceptual hash finds re-encoded and rescaled copies."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from components.imaging import codec, phash


def scene(seed):
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return cv2.resize(coarse, (400, 300), interpolation=cv2.INTER_CUBIC)


def test_hash_is_16_hexadecimal_characters():
    digest = phash.phash(scene(0))
    assert len(digest) == 16
    assert int(digest, 16) >= 0


@pytest.mark.parametrize("quality", [30, 90])
def test_re_encoding_and_rescaling_stay_near(quality):
    copy = codec.decode(codec.encode_jpeg(cv2.resize(scene(0), (200, 150), interpolation=cv2.INTER_AREA), quality)).image_u8
    assert phash.distance(phash.phash(scene(0)), phash.phash(copy)) <= 3


def test_other_scenes_are_far():
    distances = [phash.distance(phash.phash(scene(0)), phash.phash(scene(seed))) for seed in range(1, 20)]
    assert min(distances) > 10


def test_distance_counts_bits():
    assert phash.distance("0000000000000000", "8000000000000003") == 3
    assert phash.distance("ffffffffffffffff", "0000000000000000") == 64


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (33, 31, 3)])
def test_any_size_has_a_hash(shape):
    assert len(phash.phash(np.full(shape, 9, np.uint8))) == 16


def test_flat_pictures_have_one_hash():
    hashes = {phash.phash(np.full((64, 64, 3), level, np.uint8)) for level in (1, 100, 254)}
    assert len(hashes) == 1


def test_copies_among_photos_are_found(test_data):
    original = codec.decode((test_data / "photos_hq" / "kodim23.png").read_bytes()).image_u8
    brighter = codec.decode((test_data / "photos_mixed" / "web_0dc3fc8e.webp").read_bytes()).image_u8
    assert phash.distance(phash.phash(original), phash.phash(brighter)) <= 3
