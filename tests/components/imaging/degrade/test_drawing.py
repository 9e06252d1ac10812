"""What is drawn has the distributions of the specification: chi-square and Kolmogorov-Smirnov tests over many recipes."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import pytest
from scipy import stats

from components.imaging.degrade import recipe
from components.imaging.degrade.two_stage import MODES, SHAPES, KernelSettings

SEEDS = range(5)
"""All but the first in the slower tier."""
RECIPES = 10_000
"""Per seed."""
LEAST_P = 1e-4
"""After Bonferroni's correction for the tests of one preset and seed."""


class Drawn:
    """What many recipes hold, sorted by what it must be distributed like."""

    def __init__(self) -> None:
        self.ranges: dict[str, list[float]] = defaultdict(list)
        self.choices: dict[str, Counter[object]] = defaultdict(Counter)
        self.resize_2: list[float] = []

    def add(self, drawn: recipe.Recipe) -> None:
        """Take a recipe apart."""
        steps = list(drawn.steps)
        self.choices["flip"][drawn.flip] += 1
        self.ranges["top"].append(drawn.top)
        self.ranges["left"].append(drawn.left)
        self.kernel("1", steps.pop(0))
        self.choices["resize 1"]["none" if steps[0].kind != "rescale" else "up" if steps[0].factor > 1 else "down"] += 1
        if steps[0].kind == "rescale":
            one = steps.pop(0)
            self.ranges["up 1" if one.factor > 1 else "down 1"].append(one.factor)
            self.choices["mode"][one.mode] += 1
        self.noise("1", steps.pop(0))
        self.choices["quality 1"][steps.pop(0).quality] += 1
        twice = steps[0].kind in ("spread", "sinc")
        self.choices["blur 2"][twice] += 1
        if twice:
            self.kernel("2", steps.pop(0))
        one = steps.pop(0)
        self.choices["mode"][one.mode] += 1
        self.resize_2.append(one.part)
        self.noise("2", steps.pop(0))
        self.end(steps)

    def kernel(self, which: str, step) -> None:
        self.choices["size"][step.size] += 1
        self.choices[f"kind {which}"][step.kind] += 1
        if step.kind == "sinc":
            self.ranges["cutoff small" if step.size < 13 else "cutoff"].append(step.cutoff)
            return
        self.choices["shape"][step.shape] += 1
        self.ranges[f"sigma {which}"].append(step.sigma_x_px)
        if "aniso" in step.shape:
            self.ranges[f"sigma {which}"].append(step.sigma_y_px)
            self.ranges["theta"].append(step.theta)
        family = step.shape.partition("_")[0]
        if family in ("generalised", "plateau"):
            below = step.beta < 1 or (family == "plateau" and step.beta == 1)
            self.choices[f"beta {family}"][below] += 1
            if step.beta != 1:
                self.ranges[f"beta {family} {'below' if below else 'above'}"].append(step.beta)

    def noise(self, which: str, step) -> None:
        grey = step.kind == "grey_noise" or getattr(step, "grey", False)
        self.choices["grey"][grey] += 1
        self.choices["poisson"][step.kind == "poisson"] += 1
        name = f"poisson {which}" if step.kind == "poisson" else f"sigma_u8 {which}"
        self.ranges[name].append(step.scale if step.kind == "poisson" else step.sigma_u8)

    def end(self, steps) -> None:
        self.choices["order"][steps[0].kind] += 1
        kinds = [step.kind for step in steps]
        self.choices["final sinc"]["sinc" in kinds] += 1
        for step in steps:
            if step.kind == "jpeg":
                self.choices["quality 2"][step.quality] += 1
            elif step.kind == "sinc":
                self.ranges["final cutoff"].append(step.cutoff)
                self.choices["final size"][step.size] += 1
            elif step.kind == "fit":
                self.choices["mode"][step.mode] += 1
        assert kinds[-1] == "resize"


SIZES = dict.fromkeys(range(7, 22, 2), 1 / 8)
QUALITIES = dict.fromkeys(range(30, 96), 1 / 66)
CHOICES = {
    "flip": {True: 0.5, False: 0.5},
    "size": SIZES,
    "kind 1": {"sinc": 0.1, "spread": 0.9},
    "kind 2": {"sinc": 0.1, "spread": 0.9},
    "shape": dict(zip(SHAPES, (0.45, 0.25, 0.12, 0.03, 0.12, 0.03), strict=True)),
    "beta generalised": {True: 0.5, False: 0.5},
    "beta plateau": {True: 0.5, False: 0.5},
    "resize 1": {"up": 0.2, "down": 0.7, "none": 0.1},
    "mode": dict.fromkeys(MODES, 1 / 3),
    "poisson": {True: 0.5, False: 0.5},
    "grey": {True: 0.4, False: 0.6},
    "quality 1": QUALITIES,
    "quality 2": QUALITIES,
    "blur 2": {True: 0.8, False: 0.2},
    "order": {"fit": 0.5, "jpeg": 0.5},
    "final sinc": {True: 0.8, False: 0.2},
    "final size": SIZES,
}
RANGES = {
    "top": (0, 1),
    "left": (0, 1),
    "sigma 1": (0.2, 3),
    "sigma 2": (0.2, 1.5),
    "theta": (-math.pi, math.pi),
    "cutoff small": (math.pi / 3, math.pi),
    "cutoff": (math.pi / 5, math.pi),
    "final cutoff": (math.pi / 3, math.pi),
    "beta generalised below": (0.5, 1),
    "beta generalised above": (1, 4),
    "beta plateau above": (1, 2),
    "up 1": (1, 1.5),
    "down 1": (0.15, 1),
    "sigma_u8 1": (1, 30),
    "sigma_u8 2": (1, 25),
    "poisson 1": (0.05, 3),
    "poisson 2": (0.05, 2.5),
}
"""DATA_SPEC: Real-ESRGAN's and DreamClear's ranges and probabilities, written here a second time."""
MILD_CHOICES = {
    "resize 1": {"up": 0.1, "down": 0.5, "none": 0.4},
    "quality 1": dict.fromkeys(range(70, 96), 1 / 26),
    "quality 2": dict.fromkeys(range(70, 96), 1 / 26),
}
MILD_RANGES = {
    "sigma 1": (0.2, 1.2),
    "sigma 2": (0.2, 0.8),
    "up 1": (1, 1.2),
    "down 1": (0.5, 1),
    "sigma_u8 1": (1, 10),
    "sigma_u8 2": (1, 6),
    "poisson 1": (0.05, 1),
    "poisson 2": (0.05, 0.6),
}
PRESETS = {
    "dreamclear": (CHOICES, RANGES, (0.3, 0.4, 1.2, 0.3, 0.25)),
    "real-esrgan-x4plus": (CHOICES, RANGES, (0.3, 0.4, 1.2, 0.3, 0.25)),
    "mild": (CHOICES | MILD_CHOICES, RANGES | MILD_RANGES, (0.1, 0.4, 1.1, 0.6, 0.5)),
}


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.e2e) for seed in SEEDS[1:])])
@pytest.mark.parametrize("name", PRESETS)
def test_recipes_are_distributed_as_specified(name, seed):
    choices, ranges, resize_2 = PRESETS[name]
    drawn, settings = Drawn(), recipe.preset(name)
    for number in range(RECIPES):
        drawn.add(recipe.draw(seed, f"image-{number}", number % 4, settings))
    assert drawn.choices.keys() == choices.keys()
    assert drawn.ranges.keys() == ranges.keys()
    found = {}
    for key, shares in choices.items():
        total = drawn.choices[key].total()
        assert set(drawn.choices[key]) <= set(shares), key
        found[key] = stats.chisquare([drawn.choices[key][one] for one in shares], [total * one for one in shares.values()]).pvalue
    for key, (low, high) in ranges.items():
        assert low - 1e-4 <= min(drawn.ranges[key]) <= max(drawn.ranges[key]) <= high + 1e-4, key
        found[key] = stats.kstest(drawn.ranges[key], "uniform", (low, high - low)).pvalue
    up, down, most, least, part = resize_2
    factors = [one / part for one in drawn.resize_2]
    split = Counter("none" if one == 1 else "up" if one > 1 else "down" for one in factors)
    wanted = {"up": up, "down": down, "none": 1 - up - down}
    found["resize 2"] = stats.chisquare([split[one] for one in wanted], [RECIPES * one for one in wanted.values()]).pvalue
    found["up 2"] = stats.kstest([one for one in factors if one > 1], "uniform", (1, most - 1)).pvalue
    found["down 2"] = stats.kstest([one for one in factors if one < 1], "uniform", (least, 1 - least)).pvalue
    worst = min(found, key=found.__getitem__)
    assert found[worst] * len(found) > LEAST_P, (worst, found[worst])


def test_a_wrong_range_would_be_noticed():
    values = [recipe.draw(0, str(number), 0, recipe.preset("dreamclear")).steps[0] for number in range(RECIPES)]
    sigmas = [one.sigma_x_px for one in values if one.kind == "spread"]
    assert stats.kstest(sigmas, "uniform", (0.2, 2.7)).pvalue < LEAST_P


@pytest.mark.parametrize("name", ["dreamclear", "real-esrgan-x4plus", "mild", "moderate", "heavy", "tiny"])
def test_packed_recipes_are_short_and_come_back_equal(name):
    for number in range(300):
        drawn = recipe.draw(1, f"image-{number}", number % 4, recipe.preset(name))
        assert len(drawn.pack().encode()) <= 400
        assert recipe.Recipe.unpack(drawn.pack()) == drawn


def test_a_kernel_without_a_middle_is_refused():
    with pytest.raises(ValueError, match=r"odd sides, got \[8\]"):
        KernelSettings(sizes=(7, 8, 9))
