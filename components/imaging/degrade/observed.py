"""What a recipe holds of each parameter, by the names that `parameters` has."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from components.errors import ManifestError
from components.imaging.degrade.extras import ExtraSettings
from components.imaging.degrade.presets import DegradeSettings, OneStage
from components.imaging.degrade.recipe import Recipe
from components.imaging.degrade.two_stage import SMALL_PX, TwoStage

Value = float | str


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


def _word(answer: bool) -> str:  # noqa: FBT001 (one word for one value)
    return "yes" if answer else "no"


def _seen_one(steps: list[Any]) -> Iterator[tuple[str, Value]]:
    blur, smaller, noise, jpeg = steps[:4]
    yield from (("blur_sigma_px", blur.sigma_px), ("shrink", 1 / smaller.scale))
    yield from (("noise_sigma_u8", noise.sigma_u8), ("jpeg_quality", jpeg.quality))


def _seen_two(every: list[Any], variant: TwoStage) -> Iterator[tuple[str, Value]]:
    yield from _named("extras", _seen_extras(every, variant.extras))
    steps = [step for step in every if step.kind not in _ADDED]
    yield from _named("blur_1", _seen_kernel(steps.pop(0)))
    if steps[0].kind == "rescale":
        yield from _named("resize_1", _seen_resize(steps[0].factor, steps.pop(0).mode))
    else:
        yield "resize_1.direction", "keep"
    if steps[0].kind == "sensor":
        steps.pop(0)
    else:
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
    for kind in ("jpeg", "anchor_jpeg"):
        if kind in last:
            yield "jpeg_quality_2", last[kind].quality
    yield from (("end_mode", last["fit"].mode), ("final_sinc", _word("sinc" in last)))
    if "sinc" in last:
        yield from (("final_sinc_size", str(last["sinc"].size)), ("final_sinc_cutoff", last["sinc"].cutoff))


def _seen_extras(steps: list[Any], settings: ExtraSettings) -> Iterator[tuple[str, Value]]:
    """What was added or took another's place; what is off and not there is not told."""
    found = {step.kind: step for step in steps}
    for kind in (*_ADDED, "sensor"):
        if kind in found or getattr(settings, kind).share:
            yield kind, _word(kind in found)
        if kind in found:
            yield from _named(kind, _EXTRA[kind](found[kind]))
    other = next((kind for kind in ("webp", "avif") if kind in found), "")
    if other or settings.file.webp_share + settings.file.avif_share:
        yield "file", other or "jpeg"
    if other:
        yield f"file.{other}_quality", found[other].quality


def _fields(*names: str) -> Callable[[Any], Iterator[tuple[str, Value]]]:
    return lambda step: ((name, getattr(step, name)) for name in names)


def _seen_fading(step: Any) -> Iterator[tuple[str, Value]]:
    for dye in (step.cyan_percent, step.magenta_percent, step.yellow_percent):
        yield "keep_percent", dye
    yield "stain_hundredths", step.stain_hundredths


_ADDED = ("fading", "scratches", "motion", "lens", "chroma", "halo")
_EXTRA: Mapping[str, Callable[[Any], Iterator[tuple[str, Value]]]] = {
    "fading": _seen_fading,
    "scratches": _fields("lines", "specks", "opacity_percent", "width_px"),
    "motion": _fields("length_px", "theta"),
    "lens": _fields("radius_px"),
    "sensor": _fields("shot"),
    "chroma": _fields("layout", "upsampling"),
    "halo": _fields("amount_percent", "sigma_px"),
}


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
