"""The page of pairs."""

import re

import pytest

from components.errors import ContractError
from components.synthesize.picture import show
from components.synthesize.run import Means, synthesize
from components.synthesize.settings import SynthesizeSettings

pytestmark = pytest.mark.e2e

SETTINGS = SynthesizeSettings(preset="dreamclear", epochs=4, crop_px=96, sampled=6)


def test_the_page_shows_pairs_recipes_and_every_drawn_value_and_is_the_same_again(store, curated):
    pairs = synthesize(curated(128, 150, 200, 170), SETTINGS, Means(store.root))
    seen = show(pairs, SETTINGS, store=store)
    assert seen.looks.passed
    assert seen.looks.statistics["looks"] == 6
    html = store.read(seen.picture).decode()
    assert html.count("HQ of pair") == html.count("LQ of pair") == 6
    assert "jpeg: quality" in html
    for name in ("two-stage.noise_1.sigma_u8", "two-stage.blur_1.shape", "two-stage.resize_2.mode"):
        assert name in html
    assert not re.search(r'(src|href)="(?!data:|#)', html)
    assert show(pairs, SETTINGS, store=store) == seen


def test_pairs_that_are_too_much_alike_stop_the_flow(store, curated):
    settings = SETTINGS.model_copy(update={"bands": {"psnr_median_maximum": 5.0, "psnr_median_minimum": 1.0}})
    pairs = synthesize(curated(128, 150), settings, Means(store.root))
    with pytest.raises(ContractError, match="psnr_median"):
        show(pairs, settings, store=store)
