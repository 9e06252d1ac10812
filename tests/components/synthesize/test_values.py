"""The contract on what was drawn finds a value outside its range and a choice that is too frequent."""

import math

import pytest

from components.errors import ManifestError
from components.imaging.degrade import recipe
from components.imaging.degrade.observed import observed
from components.imaging.degrade.parameters import Choice, parameters
from components.imaging.degrade.presets import changed
from components.synthesize.values import counted, judged

NAMES = ("dreamclear", "real-esrgan-x4plus", "mild", "tiny")


def drawn(settings, count):
    return [recipe.draw(1, f"image-{number}", number % 4, settings) for number in range(count)]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_preset_draws_is_judged_right(name):
    settings = recipe.preset(name)
    counts = counted(drawn(settings, 2000), settings)
    rows = judged(counts, settings)
    assert {row["name"] for row in counts} == set(parameters(settings))
    assert max(abs(row["sigmas"]) for row in rows) < 4
    assert sum(row["outside"] for row in rows) == 0


ALL_EXTRAS = {
    **{kind: {"share": 0.5} for kind in ("fading", "scratches", "motion", "lens", "sensor", "chroma", "halo")},
    "file": {"webp_share": 0.3, "avif_share": 0.3},
}


@pytest.mark.parametrize("jpeg", ["real", "anchor"])
def test_extras_are_judged_too_and_where_they_are_off_their_coming_is_a_fault(jpeg):
    plain = recipe.preset("mild")
    settings = changed(plain, {"two-stage": {"extras": ALL_EXTRAS, "jpeg": jpeg}})
    recipes = drawn(settings, 1500)
    rows = judged(counted(recipes, settings), settings)
    assert {row["name"] for row in counted(recipes, settings)} == set(parameters(settings))
    assert max(abs(row["sigmas"]) for row in rows) < 4
    assert sum(row["outside"] for row in rows) == 0
    faults = {row["id"]: row["n"] for row in judged(counted(recipes, plain), plain) if row["id"].startswith("two-stage.extras")}
    assert faults["two-stage.extras.halo"] == sum("halo" in [step.kind for step in one.steps] for one in recipes)


def test_every_choice_has_shares_that_sum_to_one():
    for name in NAMES:
        for parameter in parameters(recipe.preset(name)).values():
            if isinstance(parameter, Choice):
                assert math.isclose(sum(parameter.shares.values()), 1)


def test_a_value_outside_its_range_is_counted_where_it_is():
    wide = recipe.preset("dreamclear")
    narrow = changed(wide, {"two-stage": {"noise_1": {"sigma_u8": [1, 29]}}})
    above = sum(one.steps[n].sigma_u8 > 29.0001 for one in drawn(wide, 1000) for n in (1, 2) if is_first_noise(one, n))
    rows = {row["id"]: row for row in judged(counted(drawn(wide, 1000), narrow), narrow)}
    assert above > 0
    assert rows["two-stage.noise_1.sigma_u8"]["outside"] == above
    assert sum(row["outside"] for row in rows.values()) == above


def is_first_noise(one, place):
    kinds = [step.kind for step in one.steps]
    return place == 1 + ("rescale" in kinds) and kinds[place] in ("noise", "grey_noise")


def test_a_share_that_is_off_has_many_sigmas():
    settings = recipe.preset("dreamclear")
    asked = changed(settings, {"two-stage": {"noise_1": {"grey_share": 0.5}}})
    rows = {row["id"]: row["sigmas"] for row in judged(counted(drawn(settings, 1000), asked), asked)}
    assert rows["two-stage.noise_1.grey = yes"] < -4
    assert sum(abs(sigmas) > 4 for sigmas in rows.values()) == 2


def test_a_word_that_should_never_come_is_outside():
    settings = recipe.preset("dreamclear")
    asked = changed(settings, {"two-stage": {"blur_2_share": 1}})
    rows = {row["id"]: row for row in judged(counted(drawn(settings, 100), asked), asked)}
    assert rows["two-stage.blur_2 = no"]["outside"] > 0


@pytest.mark.parametrize("kind", ["variant", "steps"])
def test_a_recipe_of_something_else_is_a_sentence(kind):
    one = recipe.draw(0, "a", 0, recipe.preset("tiny"))
    settings = recipe.preset("dreamclear")
    if kind == "steps":
        one = one.model_copy(update={"variant": "two-stage"})
    with pytest.raises(ManifestError, match="Expected"):
        list(observed(one, settings))
