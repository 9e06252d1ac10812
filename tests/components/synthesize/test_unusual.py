"""Every picture that comes in ends as pairs or with a reason, whatever its shape and its bits."""

import cv2
import numpy as np
import pytest

from components.backends import manifest
from components.backends.tables import Tables
from components.ingest.run import ingest
from components.ingest.settings import IngestSettings
from components.synthesize.pairs import remade, stored
from components.synthesize.run import Means, synthesize
from components.synthesize.settings import SynthesizeSettings
from tests.records import train_run

pytestmark = pytest.mark.e2e

SETTINGS = SynthesizeSettings(preset="dreamclear", epochs=2, crop_px=128, store="shards")


def pattern(height, width, channels=3):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([(rows * 3 + columns * (c + 1)) % 251 for c in range(channels)], axis=-1).astype(np.uint8)


PICTURES = {
    "grey.png": pattern(200, 220, 1),
    "deep.png": pattern(200, 220).astype(np.uint16) * 257,
    "deep-grey.png": pattern(180, 150, 1).astype(np.uint16) * 257,
    "alpha.png": np.dstack([pattern(160, 170), np.full((160, 170), 128, np.uint8)]),
    "huge.jpg": pattern(6000, 9000),
    "thin.png": pattern(1, 400),
    "line.png": pattern(400, 1),
    "exact.png": pattern(128, 128),
    "less.png": pattern(127, 300),
}


@pytest.fixture
def pairs(tmp_path, store):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, picture in PICTURES.items():
        assert cv2.imwrite(str(photos / name), picture)
    images = ingest([str(photos)], IngestSettings(), objects=store.root)
    assert images.rows == len(PICTURES)
    with Tables(store) as tables:
        tables.manifest("images", images)
        curated = tables.write("images", "select * replace ('train' as split) from images")
    curation = train_run().pairs.curation.model_copy(update={"manifest": curated})
    return synthesize(curation, SETTINGS, Means(store.root)), manifest.rows(store, curated)


def test_each_gives_pairs_or_is_counted(store, pairs):
    made, rows = pairs
    assert {row["verdict"] for row in rows} == {"kept"}
    large = {row["id"]: row["origin"].rpartition("/")[2] for row in rows if min(row["width_px"], row["height_px"]) >= 128}
    assert sorted(large.values()) == ["alpha.png", "deep-grey.png", "deep.png", "exact.png", "grey.png", "huge.jpg"]
    assert (made.too_small, made.manifest.rows) == (3, 2 * len(large))
    for row in manifest.rows(store, made.manifest):
        for hq_and_lq, again in zip(stored(store, row), remade(store, row), strict=True):
            assert hq_and_lq.shape == (128, 128, 3)
            np.testing.assert_array_equal(hq_and_lq, again)
        if "grey" in large[row["hq_id"]]:
            hq_u8 = stored(store, row)[0]
            assert (hq_u8[..., 0] == hq_u8[..., 1]).all()
