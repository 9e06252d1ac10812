import pytest

from components.backends import manifest
from components.backends.history import remember_settings
from components.errors import ContractError, SettingsError
from components.imaging.degrade.recipe import Recipe
from components.synthesize.run import Means, synthesize
from components.synthesize.settings import SynthesizeSettings

SETTINGS = SynthesizeSettings(preset="tiny", epochs=3, crop_px=128)


def made(curation, store, settings=SETTINGS, **means):
    return synthesize(curation, settings, Means(store.root, **means))


def test_every_training_picture_gets_a_recipe_per_epoch(store, curated):
    curation = curated(128, 300)
    pairs = made(curation, store)
    rows = manifest.rows(store, pairs.manifest)
    ids = sorted(row["id"] for row in manifest.rows(store, curation.manifest))
    assert [(row["hq_id"], row["epoch"]) for row in rows] == [(one, epoch) for one in ids for epoch in range(3)]
    assert len({row["recipe"] for row in rows}) == 6
    assert all(Recipe.unpack(row["recipe"]).crop_px == 128 for row in rows)
    assert pairs.expectations.passed
    assert pairs.draws.passed
    assert pairs.manifest.parent == curation.manifest.sha256


def test_pictures_smaller_than_the_crop_are_counted(store, curated):
    pairs = made(curated(127, 128), store)
    assert (pairs.manifest.rows, pairs.too_small) == (3, 1)


def test_no_picture_as_large_as_the_crop_is_a_sentence(store, curated):
    with pytest.raises(ContractError, match=r"synthesize\.crop_px"):
        made(curated(100), store)


def test_held_out_pictures_give_no_pair(store, curated):
    with pytest.raises(ContractError):
        made(curated(300, split="test"), store)


def test_the_same_settings_give_the_same_manifest_and_another_seed_another(store, curated):
    curation = curated(300)
    first = made(curation, store).manifest
    assert made(curation, store).manifest == first
    assert made(curation, store, SETTINGS.model_copy(update={"seed": 1})).manifest.sha256 != first.sha256


def test_a_changed_setting_changes_what_is_drawn(store, curated):
    change = {"moderate": {"share": 0}, "heavy": {"share": 0}, "near-clean": {"jpeg_quality": [93, 93]}}
    rows = manifest.rows(store, made(curated(300), store, SETTINGS.model_copy(update={"change": change})).manifest)
    drawn = [Recipe.unpack(row["recipe"]) for row in rows]
    assert {(one.variant, one.steps[3].quality) for one in drawn} == {("near-clean", 93)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"two-stag": {}}, "two-stage"),
        ({"two-stage": {"blur_1": {"sigma": [1, 2]}}}, "sigma_px"),
        ({"two-stage": {"blur_1": {"sigma_px": [2, 1]}}}, "lower end first"),
        ({"two-stage": {"blur_1": {"sizes": [8]}}}, "odd sides"),
        ({"two-stage": {"blur_1": 3}}, "Expected settings"),
        ({"two-stage": {"resize_1": {"up_share": 0.9}}}, "at most 1"),
        ({"two-stage": {"share": 0}}, "share above 0"),
        ({"flip_share": 2}, "less than or equal to 1"),
    ],
)
def test_a_change_that_does_not_fit_is_a_sentence(store, curated, change, said):
    with pytest.raises(SettingsError, match=said):
        made(curated(300), store, SETTINGS.model_copy(update={"preset": "dreamclear", "change": change}))


def test_an_unknown_limit_is_a_sentence(store, curated):
    with pytest.raises(SettingsError, match="psnr_median_minimum"):
        made(curated(300), store, SETTINGS.model_copy(update={"bands": {"psnr_median_min": 3}}))


def test_a_benchmark_that_curation_did_not_know_is_refused(store, curated):
    benchmark = curated(200).manifest
    with pytest.raises(ContractError, match=r"REALSR.*Run curate again"):
        made(curated(300), store, benchmarks={"REALSR": benchmark})


def test_a_picture_of_a_benchmark_gives_no_pair(store, curated):
    benchmark = curated(300).manifest
    knowing = remember_settings(store, "curate", {"benchmarks": {"realsr": benchmark.sha256}})
    with pytest.raises(ContractError, match="hq_id_in_benchmark"):
        made(curated(300, 310, settings=knowing), store, benchmarks={"realsr": benchmark})
    assert made(curated(320, 310, settings=knowing), store, benchmarks={"realsr": benchmark}).expectations.passed
