"""What may be drawn, by the name of each parameter, and what a recipe holds of it.

Both sides are told apart on purpose: `parameters` reads the settings, `observed` reads a finished recipe and knows nothing of
how it was drawn, so that comparing them finds a fault of the drawing.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.errors import ManifestError
from components.imaging.degrade.presets import DegradeSettings, OneStage
from components.imaging.degrade.recipe import Recipe
from components.imaging.degrade.two_stage import MODES, SHAPES, SMALL_PX, KernelSettings, NoiseSettings, ResizeSettings, TwoStage

Value = float | str


@dataclass(frozen=True)
class Uniform:
    """A number, everywhere between two ends as likely."""

    low: float
    high: float
    whole: bool = False


@dataclass(frozen=True)
class Choice:
    """A word of several."""

    shares: Mapping[str, float]
    """They sum to 1."""


Parameter = Uniform | Choice


def parameters(settings: DegradeSettings) -> dict[str, Parameter]:
    """Give every parameter that recipes of the settings may hold."""
    listed = {"variant": _choice({variant.name: variant.share for variant in settings.variants})}
    listed["flip"] = _yes_no(settings.flip_share)
    found: dict[str, Parameter] = {**listed, "top": Uniform(0, 1), "left": Uniform(0, 1)}
    for variant in settings.variants:
        if variant.share:
            own = _one_stage(variant) if isinstance(variant, OneStage) else _two_stage(variant)
            found |= {f"{variant.name}.{name}": parameter for name, parameter in own.items()}
    return found


def observed(recipe: Recipe, settings: DegradeSettings) -> Iterator[tuple[str, Value]]:
    """Give the name and the value of every parameter in a recipe.

    Raises:
        ManifestError: its variant is not one of the settings, or its steps are not those of its variant.
    """
    variants = {variant.name: variant for variant in settings.variants}
    if recipe.variant not in variants:
        raise ManifestError(f"Expected a recipe of the variants {', '.join(variants)}, got one of '{recipe.variant}'.")
    variant = variants[recipe.variant]
    yield from (("variant", recipe.variant), ("flip", _word(recipe.flip)), ("top", recipe.top), ("left", recipe.left))
    steps = list(recipe.steps)
    try:
        seen = _seen_one(steps) if isinstance(variant, OneStage) else _seen_two(steps, variant)
        yield from ((f"{variant.name}.{name}", value) for name, value in seen)
    except (IndexError, AttributeError) as error:
        kinds = ", ".join(step.kind for step in recipe.steps)
        raise ManifestError(f"Expected the steps of the variant '{recipe.variant}', got: {kinds}.") from error


def _choice(shares: Mapping[str, float]) -> Choice:
    total = sum(shares.values())
    return Choice({word: share / total for word, share in shares.items()})


def _yes_no(share: float) -> Choice:
    return Choice({"yes": share, "no": 1 - share})


def _word(answer: bool) -> str:  # noqa: FBT001 (one word for one value)
    return "yes" if answer else "no"


def _one_stage(variant: OneStage) -> dict[str, Parameter]:
    return {
        "blur_sigma_px": Uniform(*variant.blur_sigma_px),
        "shrink": Uniform(*variant.shrink),
        "noise_sigma_u8": Uniform(*variant.noise_sigma_u8),
        "jpeg_quality": Uniform(*variant.jpeg_quality, whole=True),
    }


def _seen_one(steps: list[Any]) -> Iterator[tuple[str, Value]]:
    blur, smaller, noise, jpeg = steps[:4]
    yield from (("blur_sigma_px", blur.sigma_px), ("shrink", 1 / smaller.scale))
    yield from (("noise_sigma_u8", noise.sigma_u8), ("jpeg_quality", jpeg.quality))


def _two_stage(variant: TwoStage) -> dict[str, Parameter]:
    found: dict[str, Parameter] = {
        "jpeg_quality_1": Uniform(*variant.jpeg_quality_1, whole=True),
        "blur_2": _yes_no(variant.blur_2_share),
        "jpeg_quality_2": Uniform(*variant.jpeg_quality_2, whole=True),
        "end_first": _yes_no(variant.end_first_share),
        "end_mode": _choice(dict.fromkeys(MODES, 1)),
        "final_sinc": _yes_no(variant.final_sinc_share),
        "final_sinc_size": _sizes(variant.blur_1),
        "final_sinc_cutoff": Uniform(*variant.final_sinc_cutoff),
    }
    parts = {
        "blur_1": _kernel(variant.blur_1),
        "resize_1": _resize(variant.resize_1),
        "noise_1": _noise(variant.noise_1),
        "blur_2": _kernel(variant.blur_2),
        "resize_2": _resize(variant.resize_2),
        "noise_2": _noise(variant.noise_2),
    }
    return found | {f"{part}.{name}": one for part, listed in parts.items() for name, one in listed.items()}


def _sizes(settings: KernelSettings) -> Choice:
    return _choice({str(size): settings.sizes.count(size) for size in settings.sizes})


def _kernel(settings: KernelSettings) -> dict[str, Parameter]:
    shares = dict(zip(SHAPES, settings.shape_shares, strict=True))
    rest = (1 - settings.sinc_share) / sum(shares.values())
    halves = {"low": 0.5, "high": 0.5}
    return {
        "shape": Choice({"sinc": settings.sinc_share, **{shape: share * rest for shape, share in shares.items()}}),
        "size": _sizes(settings),
        "sigma_px": Uniform(*settings.sigma_px),
        "theta": Uniform(*settings.theta),
        "beta_generalised": Choice(halves),
        "beta_generalised.low": Uniform(settings.beta_generalised[0], 1),
        "beta_generalised.high": Uniform(1, settings.beta_generalised[1]),
        "beta_plateau": Choice(halves),
        "beta_plateau.low": Uniform(settings.beta_plateau[0], 1),
        "beta_plateau.high": Uniform(1, settings.beta_plateau[1]),
        "sinc_cutoff_small": Uniform(*settings.sinc_cutoff_small),
        "sinc_cutoff": Uniform(*settings.sinc_cutoff),
    }


def _resize(settings: ResizeSettings) -> dict[str, Parameter]:
    up = settings.up_share * (settings.up[1] > 1)  # a factor of exactly 1 cannot be told from none
    down = settings.down_share * (settings.down[0] < 1)
    return {
        "direction": Choice({"up": up, "down": down, "keep": 1 - up - down}),
        "up": Uniform(*settings.up),
        "down": Uniform(*settings.down),
        "mode": _choice(dict.fromkeys(MODES, 1)),
    }


def _noise(settings: NoiseSettings) -> dict[str, Parameter]:
    return {
        "kind": Choice({"gaussian": settings.gaussian_share, "poisson": 1 - settings.gaussian_share}),
        "grey": _yes_no(settings.grey_share),
        "sigma_u8": Uniform(*settings.sigma_u8),
        "poisson_scale": Uniform(*settings.poisson_scale),
    }


def _seen_two(steps: list[Any], variant: TwoStage) -> Iterator[tuple[str, Value]]:
    yield from _named("blur_1", _seen_kernel(steps.pop(0)))
    if steps[0].kind == "rescale":
        yield from _named("resize_1", _seen_resize(steps[0].factor, steps.pop(0).mode))
    else:
        yield "resize_1.direction", "keep"
    yield from _named("noise_1", _seen_noise(steps.pop(0)))
    yield "jpeg_quality_1", steps.pop(0).quality
    twice = steps[0].kind in ("spread", "sinc")
    yield "blur_2", _word(twice)
    if twice:
        yield from _named("blur_2", _seen_kernel(steps.pop(0)))
    yield from _named("resize_2", _seen_resize(steps[0].part / variant.end_part, steps.pop(0).mode))
    yield from _named("noise_2", _seen_noise(steps.pop(0)))
    yield "end_first", _word(steps[0].kind == "fit")
    last = {step.kind: step for step in steps[:-1]}
    yield from (("jpeg_quality_2", last["jpeg"].quality), ("end_mode", last["fit"].mode), ("final_sinc", _word("sinc" in last)))
    if "sinc" in last:
        yield from (("final_sinc_size", str(last["sinc"].size)), ("final_sinc_cutoff", last["sinc"].cutoff))


def _named(part: str, seen: Iterator[tuple[str, Value]]) -> Iterator[tuple[str, Value]]:
    return ((f"{part}.{name}", value) for name, value in seen)


def _seen_kernel(step: Any) -> Iterator[tuple[str, Value]]:
    yield "size", str(step.size)
    if step.kind == "sinc":
        yield "shape", "sinc"
        yield "sinc_cutoff_small" if step.size < SMALL_PX else "sinc_cutoff", step.cutoff
        return
    yield from (("shape", step.shape), ("sigma_px", step.sigma_x_px))
    if "aniso" in step.shape:
        yield from (("sigma_px", step.sigma_y_px), ("theta", step.theta))
    family = step.shape.partition("_")[0]
    if family in ("generalised", "plateau"):
        half = "low" if step.beta <= 1 else "high"
        yield from ((f"beta_{family}", half), (f"beta_{family}.{half}", step.beta))


def _seen_resize(factor: float, mode: str) -> Iterator[tuple[str, Value]]:
    compare = {"up": operator.gt, "down": operator.lt}
    direction = next((word for word, holds in compare.items() if holds(round(factor, 4), 1)), "keep")
    yield "direction", direction
    yield "mode", mode
    if direction != "keep":
        yield direction, round(factor, 4)


def _seen_noise(step: Any) -> Iterator[tuple[str, Value]]:
    poisson = step.kind == "poisson"
    yield from (
        ("kind", "poisson" if poisson else "gaussian"),
        ("grey", _word(step.grey if poisson else step.kind == "grey_noise")),
    )
    yield ("poisson_scale", step.scale) if poisson else ("sigma_u8", step.sigma_u8)
