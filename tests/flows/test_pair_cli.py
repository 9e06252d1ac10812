import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest

from components.backends import catalog, manifest
from components.backends.shards import write_shard
from components.backends.storage import LocalStorage
from components.imaging import codec
from components.imaging.degrade.recipe import Recipe, apply
from components.synthesize.run import Means, synthesize
from components.synthesize.settings import SynthesizeSettings
from tests.records import train_run

HQ_U8 = np.random.default_rng(0).integers(0, 256, (150, 160, 3), dtype=np.uint8)
PNG = codec.encode_png(HQ_U8)
ID = hashlib.sha256(PNG).hexdigest()


@pytest.fixture(autouse=True)
def pairs(home):
    """The pairs of one picture."""
    store = LocalStorage(home / "objects")
    (place,) = write_shard(store, [("a.png", PNG)])
    row = {"id": ID, "origin": "a.png", "shard": place.shard, "offset": place.offset, "length": place.length}
    row |= {"width_px": 160, "height_px": 150, "split": "train", "verdict": "kept"}
    curation = train_run().pairs.curation.model_copy(update={"manifest": manifest.write(store, "images", [row])})
    made = synthesize(curation, SynthesizeSettings(preset="dreamclear", epochs=2, crop_px=128), Means(store.root))
    catalog.save(store, made)
    return SimpleNamespace(rows=manifest.rows(store, made.manifest))


def test_a_pair_is_made_again_and_its_steps_are_told(lucidflux, pairs, tmp_path):
    row = pairs.rows[1]
    told = lucidflux("pair", row["id"][:12], "--out", tmp_path / "out")
    assert told.exit_code == 0, told.stderr
    expected = apply(HQ_U8, Recipe.unpack(row["recipe"]))
    for side, image_u8 in zip(("hq", "lq"), expected, strict=True):
        written = codec.decode((tmp_path / "out" / f"{row['id'][:12]}-{side}.png").read_bytes()).image_u8
        np.testing.assert_array_equal(written, image_u8)
    for word in ("epoch 1", "sharpened", "jpeg: quality", "Written:"):
        assert word in told.stdout


def test_a_picture_means_its_first_pair_or_that_of_an_epoch(lucidflux, tmp_path):
    first = json.loads(lucidflux("--json", "pair", ID[:8], "--out", tmp_path).stdout)
    assert (first["epoch"], first["others"]) == (0, 1)
    second = json.loads(lucidflux("--json", "pair", ID[:8], "--epoch", 1, "--out", tmp_path).stdout)
    assert (second["epoch"], second["others"]) == (1, 0)


@pytest.mark.parametrize(("asked", "code", "said"), [("fe" * 6, 1, "lucidflux synthesize"), ("a.png", 2, "hexadecimal")])
def test_what_is_no_pair_is_a_sentence(lucidflux, tmp_path, asked, code, said):
    told = lucidflux("pair", asked, "--out", tmp_path)
    assert told.exit_code == code
    assert said in told.stderr
