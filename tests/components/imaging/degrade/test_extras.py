"""Degradations beyond the anchors: off until asked for, then as often and as strong as their settings say."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from collections import Counter, defaultdict
from functools import cache

import numpy as np
import pytest
from scipy import stats

from components.imaging import codec
from components.imaging.degrade import recipe, versions
from components.imaging.degrade.extras import ExtraSettings, FileSettings
from components.imaging.degrade.operators import DEGRADATIONS
from components.imaging.degrade.packing import pack_steps

WITHOUT = {
    "dreamclear": "556aff902c6902511592ea5f8e9203521db0a73da2ee9e89fe4e81d1409b6da6",
    "real-esrgan-x4plus": "556aff902c6902511592ea5f8e9203521db0a73da2ee9e89fe4e81d1409b6da6",
    "mild": "1945ffb6ca9a681d3655723adef32719479816edc8d43f395d517d5c24cb15b1",
    "moderate": "5b997a4fd3fe3dc1c23b9308b5c62514031f6262191d579cb38e0736f71d1d64",
    "heavy": "8b753b6392e37656c340107ecb1455b17373ebccf15d559479a75cf73f9f0c20",
    "tiny": "c17ec6ffcc573dcfda913464b0c817bfb8a40714ad3b152578ad03baa4980cca",
}
"""sha256 of the packed steps of 200 recipes, from before there were extras."""
NAMES = ("fading", "scratches", "motion", "lens", "sensor", "chroma", "halo")
RECIPES = 5000
LEAST_P = 1e-4
"""After Bonferroni's correction."""


def with_extras(share, webp_share=0.3, avif_share=0.2, crop_px=None):
    """DreamClear's preset with every extra."""
    chosen = {name: {"share": share} for name in NAMES} | {"file": {"webp_share": webp_share, "avif_share": avif_share}}
    settings = recipe.preset("dreamclear")
    variant = settings.variants[0].model_copy(update={"extras": ExtraSettings.model_validate(chosen)})
    return settings.model_copy(update={"variants": (variant,), "crop_px": crop_px})


@cache
def drawn(share):
    """Steps of many recipes, and how many of each kind."""
    several = [recipe.draw(11, f"image-{number}", 0, with_extras(share)).steps for number in range(RECIPES)]
    return several, Counter(step.kind for steps in several for step in steps)


@pytest.mark.parametrize("name", WITHOUT)
def test_without_shares_recipes_are_those_of_before(name):
    digest = hashlib.sha256()
    for number in range(200):
        steps = recipe.draw(5, f"image-{number}", number % 4, recipe.preset(name)).steps
        digest.update(json.dumps(pack_steps(steps)).encode())
    assert digest.hexdigest() == WITHOUT[name]


def test_an_extra_changes_no_other_value():
    plain = recipe.draw(3, "a", 0, recipe.preset("dreamclear")).steps
    extra = recipe.draw(3, "a", 0, with_extras(1.0)).steps
    left = [step for step in extra if step.kind not in versions.EXTRAS]
    assert left == [step for step in plain if step in left]
    # a noise and a JPEG were replaced
    assert len(left) >= len(plain) - 2


def test_each_is_drawn_as_often_as_its_share_says():
    _, counts = drawn(0.37)
    shares = dict.fromkeys(NAMES, 0.37) | {"webp": 0.3, "avif": 0.2}
    for kind, share in shares.items():
        assert stats.binomtest(counts[kind], RECIPES, share).pvalue * len(shares) > LEAST_P, kind


def test_values_fill_their_ranges_evenly():
    found, words = defaultdict(list), defaultdict(Counter)
    for steps in drawn(0.37)[0]:
        for step in steps:
            if step.kind in versions.EXTRAS:
                for name, value in step.model_dump(exclude={"kind", "seed"}).items():
                    if isinstance(value, str):
                        words[f"{step.kind}.{name}"][value] += 1
                    else:
                        found[f"{step.kind}.{name}"].append(value)
    ranges = {
        "fading.cyan_percent": (50, 101), "fading.magenta_percent": (50, 101), "fading.yellow_percent": (50, 101),
        "fading.stain_hundredths": (0, 31), "scratches.lines": (1, 21), "scratches.specks": (0, 61),
        "scratches.opacity_percent": (30, 101), "scratches.width_px": (0.75, 3.05), "motion.length_px": (1.95, 20.05),
        "motion.theta": (-1.575, 1.575), "lens.radius_px": (0.95, 6.05), "halo.amount_percent": (100, 401),
        "halo.sigma_px": (0.55, 2.55), "webp.quality": (15, 91), "avif.quality": (35, 86),
    }  # fmt: skip
    assert found.keys() == ranges.keys() | {"sensor.shot", "sensor.read"}
    generator = np.random.default_rng(0)
    for name, (low, high) in ranges.items():
        values = np.array(found[name], float)
        assert low <= values.min() <= values.max() <= high, name
        # spread evenly over the step that rounding takes away, a discrete value is a continuous one again
        whole = all(isinstance(value, int) for value in found[name])
        step = 1 if whole else 0.01 if name == "motion.theta" else 0.1
        spread = values + generator.uniform(0, 1, len(values)) * step - (0 if whole else step / 2)
        if whole:
            pvalue = stats.kstest(spread, "uniform", (low, high - low)).pvalue
        else:
            inner = spread[(spread > low + step) & (spread < high - step)]
            pvalue = stats.kstest(inner, "uniform", (low + step, high - low - 2 * step)).pvalue
        assert pvalue * len(ranges) > LEAST_P, (name, pvalue)
    for name, choices in {"chroma.layout": 4, "chroma.upsampling": 2}.items():
        assert len(words[name]) == choices
        assert stats.chisquare(list(words[name].values())).pvalue > LEAST_P


def test_sensor_noise_has_the_levels_of_real_cameras():
    """Brooks et al. 2019: log shot is uniform, log read is normal about a line over it."""
    steps = [step for steps in drawn(0.37)[0] for step in steps if step.kind == "sensor"]
    log_shot, log_read = (np.log([getattr(step, name) for step in steps]) for name in ("shot", "read"))
    low, high = math.log(1e-4), math.log(0.012)
    assert stats.kstest(log_shot, "uniform", (low, high - low)).pvalue > 1e-3
    assert stats.kstest(log_read - 2.18 * log_shot - 1.20, "norm", (0, 0.26)).pvalue > 1e-3


def test_they_stand_where_they_happen_to_a_photo():
    for steps in drawn(1.0)[0][:200]:
        kinds = [step.kind for step in steps]
        assert kinds[:4] == ["fading", "scratches", "motion", "lens"]
        assert kinds[4] in {"spread", "sinc"}
        noise, first_file = kinds.index("sensor"), kinds.index("jpeg")
        assert kinds[noise : first_file + 1] == ["sensor", "chroma", "jpeg"]
        assert kinds[kinds.index("halo") + 1] in {"jpeg", "webp", "avif"}
        assert kinds.index("halo") > first_file


@pytest.mark.parametrize(
    ("name", "limits"),
    [("motion", {"length_px": (2, 65)}), ("scratches", {"lines": (9, 3)}), ("halo", {"sigma_px": (0, 1)})],
)
def test_ranges_that_no_step_takes_are_refused_where_they_are_set(name, limits):
    with pytest.raises(ValueError, match="expected two rising numbers from"):
        ExtraSettings.model_validate({name: limits})


def test_the_ends_of_a_range_are_drawn_where_they_are_equal():
    settings = ExtraSettings.model_validate({"motion": {"share": 1, "length_px": (64, 64)}})
    assert settings.draw(np.random.default_rng(0)).optics[0].length_px == 64


def test_more_files_than_all_are_refused():
    with pytest.raises(ValueError, match=r"at most 1, got 0.7 \+ 0.4"):
        FileSettings(webp_share=0.7, avif_share=0.4)


def test_packed_recipes_with_everything_are_short_and_come_back_equal():
    longest = 0
    for number in range(2000):
        one = recipe.draw(2**31, f"image-{number}", number % 4, with_extras(1.0, 0.5, 0.5, crop_px=1024))
        assert recipe.Recipe.unpack(one.pack()) == one
        longest = max(longest, len(one.pack().encode()))
    assert longest <= 400


def made_image(height, width):
    rows, columns = np.mgrid[:height, :width]
    return (np.stack([rows * 3 + columns, rows ^ columns, (rows * columns) // 7], axis=-1) % 256).astype(np.uint8)


def encoders():
    """Shares of WebP and AVIF that can be made here."""
    return (0.5, 0.5) if codec.avif_version() else (1.0, 0.0)


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (1, 1), (5, 7), (33, 400)])
def test_thin_and_tiny_pictures_keep_their_size(shape):
    for number in range(4):
        hq_u8, lq_u8 = recipe.apply(made_image(*shape), recipe.draw(0, str(number), 0, with_extras(1.0, *encoders())))
        assert hq_u8.shape == lq_u8.shape == (*shape, 3)
    for kind in versions.EXTRAS.keys() - ({"avif"} if not codec.avif_version() else set()):
        for step in versions.EXTRAS[kind]:
            image = made_image(*shape).astype(np.float32)
            found = DEGRADATIONS[kind](image, step, shape)
            assert found.shape == image.shape
            assert found.dtype == np.float32
            assert 0 <= found.min() <= found.max() <= 255


def digest():
    """Hash of some pairs with all extras."""
    found = hashlib.sha256()
    for number in range(6):
        one = recipe.draw(4, f"image-{number}", 0, with_extras(1.0, *encoders()))
        found.update(one.pack().encode() + recipe.apply(made_image(150, 203), one)[1].tobytes())
    return found.hexdigest()


def test_another_process_makes_the_same_bytes():
    program = "from tests.components.imaging.degrade.test_extras import digest; print(digest())"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest()
