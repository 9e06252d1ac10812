"""What settings allow to be drawn, by the name of each parameter.

`observed` says what a finished recipe holds under the same names; neither knows how recipes are drawn, so that comparing the two
finds a fault of the drawing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from components.imaging.degrade.chroma import Upsampling
from components.imaging.degrade.extras import ExtraSettings
from components.imaging.degrade.presets import DegradeSettings, OneStage
from components.imaging.degrade.two_stage import MODES, SHAPES, KernelSettings, NoiseSettings, ResizeSettings, TwoStage

_TENTH = 0.051
"""Sizes of extras are rounded to tenths."""


@dataclass(frozen=True)
class Uniform:
    """A number, everywhere between two ends as likely."""

    low: float
    high: float
    whole: bool = False
    grain: float = 1e-4
    """What rounding in a recipe may add to a value."""


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


def _choice(shares: Mapping[str, float]) -> Choice:
    total = sum(shares.values())
    return Choice({word: share / total for word, share in shares.items()})


def _yes_no(share: float) -> Choice:
    return Choice({"yes": share, "no": 1 - share})


def _one_stage(variant: OneStage) -> dict[str, Parameter]:
    return {
        "blur_sigma_px": Uniform(*variant.blur_sigma_px),
        "shrink": Uniform(*variant.shrink),
        "noise_sigma_u8": Uniform(*variant.noise_sigma_u8),
        "jpeg_quality": Uniform(*variant.jpeg_quality, whole=True),
    }


def _two_stage(variant: TwoStage) -> dict[str, Parameter]:
    found: dict[str, Parameter] = {
        "jpeg_quality_1": _quality(variant, variant.jpeg_quality_1),
        "blur_2": _yes_no(variant.blur_2_share),
        "jpeg_quality_2": _quality(variant, variant.jpeg_quality_2),
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
    found |= {f"{part}.{name}": one for part, listed in parts.items() for name, one in listed.items()}
    return found | {f"extras.{name}": one for name, one in _extras(variant.extras).items()}


def _extras(settings: ExtraSettings) -> dict[str, Parameter]:
    """What is on; sizes are kept in tenths of a pixel."""
    fading, scratches, motion, lens = settings.fading, settings.scratches, settings.motion, settings.lens
    sensor, chroma, halo, file = settings.sensor, settings.chroma, settings.halo, settings.file
    ranges: dict[str, dict[str, Parameter]] = {
        "fading": {
            "keep_percent": Uniform(*fading.keep_percent, whole=True),
            "stain_hundredths": Uniform(*fading.stain_hundredths, whole=True),
        },
        "scratches": {
            "lines": Uniform(*scratches.lines, whole=True),
            "specks": Uniform(*scratches.specks, whole=True),
            "opacity_percent": Uniform(*scratches.opacity_percent, whole=True),
            "width_px": Uniform(*scratches.width_px, grain=_TENTH),
        },
        "motion": {"length_px": Uniform(*motion.length_px, grain=_TENTH), "theta": Uniform(*motion.theta, grain=_TENTH)},
        "lens": {"radius_px": Uniform(*lens.radius_px, grain=_TENTH)},
        "sensor": {"shot": Uniform(*sensor.shot, grain=sensor.shot[1] * _TENTH)},
        "chroma": {
            "layout": _choice({layout: chroma.layouts.count(layout) for layout in chroma.layouts}),
            "upsampling": _choice(dict.fromkeys(get_args(Upsampling), 1)),
        },
        "halo": {"amount_percent": Uniform(*halo.amount_percent, whole=True), "sigma_px": Uniform(*halo.sigma_px, grain=_TENTH)},
    }
    found: dict[str, Parameter] = {}
    for kind, listed in ranges.items():
        if share := getattr(settings, kind).share:
            found |= {kind: _yes_no(share), **{f"{kind}.{name}": one for name, one in listed.items()}}
    if other := file.webp_share + file.avif_share:
        found["file"] = Choice({"jpeg": 1 - other, "webp": file.webp_share, "avif": file.avif_share})
        found["file.webp_quality"] = Uniform(*file.webp_quality, whole=True)
        found["file.avif_quality"] = Uniform(*file.avif_quality, whole=True)
    return found


def _quality(variant: TwoStage, limits: tuple[int, int]) -> Uniform:
    return Uniform(*limits, whole=True) if variant.jpeg == "real" else Uniform(*limits, grain=0.01)


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
