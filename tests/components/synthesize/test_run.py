import pytest

from components.backends import manifest
from components.backends.storage import LocalStorage
from components.errors import ContractError
from components.imaging.degrade.recipe import Recipe
from components.synthesize.run import synthesize
from components.synthesize.settings import SynthesizeSettings
from tests.records import train_run

SETTINGS = SynthesizeSettings(preset="tiny", epochs=3, crop_px=128)


def curated(store, *sides, **changes):
    rows = [
        {
            "id": f"{number:064x}",
            "origin": str(number),
            "shard": "shards/x.tar",
            "offset": 512,
            "length": 9,
            "width_px": side,
            "height_px": 500,
            "split": "train",
            "verdict": "kept",
        }
        | changes
        for number, side in enumerate(sides)
    ]
    written = manifest.write(store, "images", rows)
    return train_run().pairs.curation.model_copy(update={"manifest": written})


def test_every_training_picture_gets_a_recipe_per_epoch(tmp_path):
    store = LocalStorage(tmp_path)
    pairs = synthesize(curated(store, 128, 300), SETTINGS, objects=store.root)
    rows = manifest.rows(store, pairs.manifest)
    assert [(row["hq_id"][-1], row["epoch"]) for row in rows] == [(i, e) for i in "01" for e in range(3)]
    assert len({row["recipe"] for row in rows}) == 6
    assert all(Recipe.unpack(row["recipe"]).crop_px == 128 for row in rows)
    assert pairs.expectations.passed


def test_pictures_smaller_than_the_crop_are_counted(tmp_path):
    store = LocalStorage(tmp_path)
    pairs = synthesize(curated(store, 127, 128), SETTINGS, objects=store.root)
    assert (pairs.manifest.rows, pairs.too_small) == (3, 1)


def test_no_picture_as_large_as_the_crop_is_a_sentence(tmp_path):
    store = LocalStorage(tmp_path)
    with pytest.raises(ContractError, match=r"synthesize\.crop_px"):
        synthesize(curated(store, 100), SETTINGS, objects=store.root)


def test_held_out_pictures_give_no_pair(tmp_path):
    store = LocalStorage(tmp_path)
    with pytest.raises(ContractError):
        synthesize(curated(store, 300, split="test"), SETTINGS, objects=store.root)


def test_the_same_settings_give_the_same_manifest_and_another_seed_another(tmp_path):
    store = LocalStorage(tmp_path)
    curation = curated(store, 300)
    first = synthesize(curation, SETTINGS, objects=store.root).manifest
    assert synthesize(curation, SETTINGS, objects=store.root).manifest == first
    assert synthesize(curation, SETTINGS.model_copy(update={"seed": 1}), objects=store.root).manifest.sha256 != first.sha256
