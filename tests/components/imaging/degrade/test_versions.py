"""Stamps: one for what the presets draw, more for recipes that use more."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from components.errors import SettingsError
from components.imaging import codec
from components.imaging.degrade import operators, recipe, versions
from components.imaging.degrade.motion import Motion

KINDS = sorted(versions.EXTRAS.keys() - ({"avif"} if not codec.avif_version() else set()))


def with_motion(stamp):
    drawn = recipe.draw(0, "a", 0, recipe.preset("moderate"))
    return drawn.model_copy(update={"steps": (Motion(length_px=5, theta=0.1), *drawn.steps), "made_with": stamp})


def test_every_extra_is_carried_out_for_a_stamp():
    assert versions.EXTRAS.keys() == {step.model_fields["kind"].default for step in get_args(operators.Extra)}


def test_steps_of_the_presets_have_the_plain_stamp():
    plain = versions.stamp()
    assert versions.stamp(["blur", "jpeg", "poisson"]) == plain
    assert recipe.draw(0, "a", 0, recipe.preset("dreamclear")).made_with == plain


def test_each_extra_adds_a_digest_and_its_encoder():
    core, *plain = versions.stamp().split()
    stamps = {kind: versions.stamp([kind, "blur"]) for kind in KINDS}
    assert len(set(stamps.values())) == len(KINDS)
    for kind, stamp in stamps.items():
        digest, *rest = stamp.split()
        assert digest.startswith(f"{core}+")
        assert rest == plain + {"webp": [codec.webp_version()], "avif": [codec.avif_version()]}.get(kind, [])
    assert versions.stamp(["lens", "motion"]) == versions.stamp(["motion", "lens"])


def test_a_recipe_with_an_extra_is_refused_by_its_second_digest_alone():
    hq_u8 = np.zeros((9, 9, 3), np.uint8)
    here = versions.stamp(["motion"])
    digest, _, rest = here.partition(" ")
    recipe.apply(hq_u8, with_motion(here))
    recipe.apply(hq_u8, with_motion(f"{digest} 9.9 {rest}"))
    for other in (f"{digest[:-1]}x {rest}", versions.stamp()):
        with pytest.raises(SettingsError, match="synthesize again"):
            recipe.apply(hq_u8, with_motion(other))
