"""Pairs in shards are the pairs of their recipes."""

import io
import json
import tarfile

import numpy as np
import pytest

from components.backends import manifest
from components.errors import ManifestError, StorageError
from components.imaging import codec
from components.imaging.degrade import recipe
from components.synthesize.pairs import remade, stored
from components.synthesize.run import Means, synthesize
from components.synthesize.settings import SynthesizeSettings

SETTINGS = SynthesizeSettings(preset="dreamclear", epochs=2, crop_px=96, store="shards", shard_pairs=3)


@pytest.fixture
def pairs(store, curated):
    return synthesize(curated(128, 150, 200, 170), SETTINGS, Means(store.root))


def test_a_pair_from_a_shard_equals_the_same_pair_made_again(store, pairs):
    for row in manifest.rows(store, pairs.manifest):
        for one, other in zip(stored(store, row), remade(store, row), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_shard_is_a_tar_of_triples_of_one_epoch(store, pairs):
    rows = manifest.rows(store, pairs.manifest)
    shards = sorted({row["pixels"] for row in rows})
    assert len(shards) == 4  # 4 pictures, 3 a shard, 2 epochs
    for shard in shards:
        with tarfile.open(fileobj=io.BytesIO(store.read(shard))) as tar:
            members = {member.name: tar.extractfile(member).read() for member in tar}
        of_shard = {row["id"]: row for row in rows if row["pixels"] == shard}
        assert len({row["epoch"] for row in of_shard.values()}) == 1
        assert list(members) == [f"{one}.{end}" for one in of_shard for end in ("hq.png", "lq.png", "json")]
        for one, row in of_shard.items():
            told = json.loads(members[f"{one}.json"])
            assert recipe.Recipe.model_validate(told["recipe"]) == recipe.Recipe.unpack(row["recipe"])
            assert told["hq_id"] == row["hq_id"]
            made = recipe.apply(
                codec.decode(store.read_range(row["shard"], row["offset"], row["length"])).image_u8,
                recipe.Recipe.unpack(row["recipe"]),
            )
            np.testing.assert_array_equal(codec.decode(members[f"{one}.lq.png"]).image_u8, made[1])


def test_the_rows_of_shards_hold_the_recipes_of_pairs_without(store, curated, pairs):
    bare = synthesize(pairs.curation, SETTINGS.model_copy(update={"store": "recipes"}), Means(store.root))
    with_pixels, without = (manifest.rows(store, one.manifest) for one in (pairs, bare))
    assert [row["id"] for row in with_pixels] == [row["id"] for row in without]
    assert all(row["pixels"] is None for row in without)
    with pytest.raises(StorageError, match="store = recipes"):
        stored(store, without[0])


def test_a_shard_that_is_gone_is_made_again(store, pairs):
    shard = manifest.rows(store, pairs.manifest)[0]["pixels"]
    before = store.read(shard)
    (store.folder / shard).unlink()
    again = synthesize(pairs.curation, SETTINGS, Means(store.root))
    assert again.manifest == pairs.manifest
    assert store.read(shard) == before


def test_a_picture_whose_bytes_were_changed_is_refused(store, pairs):
    row = manifest.rows(store, pairs.manifest)[0]
    path = store.folder / row["shard"]
    path.write_bytes(path.read_bytes().replace(b"IDAT", b"IDAX"))
    with pytest.raises(ManifestError, match="ingest again"):
        remade(store, row)
