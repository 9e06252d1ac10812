"""What can be drawn: ranges of each degradation, and the named presets.

`moderate` and `heavy` are benchmarks and frozen: their draws and bytes are pinned by hash in the tests.
A change to them is a new preset under a new name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from components.errors import SettingsError, lookup, suggest
from components.imaging.degrade.blur import Blur
from components.imaging.degrade.drawing import AboveZero, AtLeastZero, Qualities, Share, between, whole
from components.imaging.degrade.jpeg import Jpeg
from components.imaging.degrade.noise import Noise
from components.imaging.degrade.operators import Step
from components.imaging.degrade.resize import Resize
from components.imaging.degrade.two_stage import KernelSettings, NoiseSettings, ResizeSettings, TwoStage
from components.records import Settings


class OneStage(Settings):
    """Blur, shrink, noise, JPEG, and back to the old size; each value is uniform in its range.

    The camera's order: the lens blurs, the sensor samples and adds noise, the file is compressed, and a
    viewer enlarges what came. Noise and blocks are therefore enlarged too.
    """

    kind: Literal["one-stage"] = "one-stage"
    name: str = "one-stage"
    """Of this variant within its preset."""
    share: Annotated[float, Field(ge=0)] = 1.0
    """Relative frequency of this variant within its preset."""
    sharpen: bool = False
    """Sharpen the HQ picture first; the sharpened one is the HQ of the pair."""
    blur_sigma_px: AtLeastZero = (0.3, 1.4)
    """Standard deviation of the Gaussian blur, in pixels of the HQ crop."""
    shrink: AboveZero = (1.0, 2.0)
    """Old side over new side."""
    noise_sigma_u8: AtLeastZero = (3.0, 25.0)
    """Standard deviation of the Gaussian noise on the 0..255 scale, per pixel of the shrunk picture."""
    jpeg_quality: Qualities = (40, 90)

    def draw(self, generator: np.random.Generator) -> tuple[Step, ...]:
        """Draw one picture's steps; takes the same number of random numbers whatever the ranges."""
        blur, shrink, sigma, quality = generator.random(4).tolist()
        return (
            Blur(sigma_px=between(self.blur_sigma_px, blur)),
            Resize(scale=round(1 / between(self.shrink, shrink), 6), mode="area"),
            Noise(sigma_u8=between(self.noise_sigma_u8, sigma), seed=int(generator.integers(2**32))),
            Jpeg(quality=whole(self.jpeg_quality, quality)),
            Resize(scale=None, mode="bicubic"),
        )


class DegradeSettings(Settings):
    """A mixture of degradations, and the crop that they work on."""

    crop_px: Annotated[int, Field(gt=0)] | None = None
    """Side of the random HQ crop; None takes the whole picture. A smaller picture is an error."""
    flip_share: Share = 0.0
    """Share of the draws that are mirrored."""
    variants: tuple[Annotated[OneStage | TwoStage, Field(discriminator="kind")], ...]
    """One is drawn per pair, with the frequencies of their shares."""

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        names = [variant.name for variant in self.variants]
        if len(set(names)) != len(names) or not any(variant.share for variant in self.variants):
            raise ValueError(f"expected variants with different names and a share above 0, got {names}")
        return self


_HEAVY = OneStage(name="heavy", noise_sigma_u8=(25.0, 50.0), jpeg_quality=(30, 90))
_NEAR_CLEAN = OneStage(
    name="near-clean", blur_sigma_px=(0.0, 0.3), shrink=(1.0, 1.0), noise_sigma_u8=(0.0, 3.0), jpeg_quality=(85, 95)
)
_MILD = TwoStage(
    blur_1=KernelSettings(sigma_px=(0.2, 1.2)),
    blur_2=KernelSettings(sigma_px=(0.2, 0.8)),
    resize_1=ResizeSettings(up_share=0.1, down_share=0.5, up=(1.0, 1.2), down=(0.5, 1.0)),
    resize_2=ResizeSettings(up_share=0.1, down_share=0.4, up=(1.0, 1.1), down=(0.6, 1.0)),
    noise_1=NoiseSettings(sigma_u8=(1.0, 10.0), poisson_scale=(0.05, 1.0)),
    noise_2=NoiseSettings(sigma_u8=(1.0, 6.0), poisson_scale=(0.05, 0.6)),
    jpeg_quality_1=(70, 95),
    jpeg_quality_2=(70, 95),
    end_part=0.5,
)

PRESETS: Mapping[str, DegradeSettings] = {
    # DreamClear (arXiv 2410.18666), whose degradation the paper takes: 1024 px pairs, LQ made at a quarter of that
    "dreamclear": DegradeSettings(crop_px=1024, flip_share=0.5, variants=(TwoStage(),)),
    # Real-ESRGAN x4plus (arXiv 2107.10833): the same ranges on crops of 400 px
    "real-esrgan-x4plus": DegradeSettings(crop_px=400, flip_share=0.5, variants=(TwoStage(),)),
    # ours, for photos that are only a little damaged: one weak blur, hardly smaller, little noise, good JPEG
    "mild": DegradeSettings(crop_px=1024, flip_share=0.5, variants=(_MILD,)),
    "moderate": DegradeSettings(variants=(OneStage(name="moderate"),)),
    "heavy": DegradeSettings(variants=(_HEAVY,)),
    # without near-clean pairs a small model softens photos that need nothing
    "tiny": DegradeSettings(
        crop_px=128,
        flip_share=0.5,
        variants=(
            OneStage(name="moderate", share=0.60),
            _HEAVY.model_copy(update={"share": 0.25}),
            _NEAR_CLEAN.model_copy(update={"share": 0.15}),
        ),
    ),
}
"""Named degradations; `moderate` and `heavy` are frozen."""


def preset(name: str) -> DegradeSettings:
    """Take a preset.

    Raises:
        UnknownName: with a suggestion.
    """
    return lookup(PRESETS, name, kind="degradation preset")


def changed(settings: DegradeSettings, change: Mapping[str, Any]) -> DegradeSettings:
    """Set some values of a preset otherwise.

    Args:
        settings: the preset.
        change: `flip_share`, or under the name of a variant its settings, nested as they are there.

    Raises:
        SettingsError: there is no such variant or setting, or a value does not fit.
    """
    kinds = {variant.name: {"kind": variant.kind, "name": variant.name} for variant in settings.variants}
    variants = {variant.name: variant.model_dump(exclude={"kind", "name"}) for variant in settings.variants}
    merged = _laid_over({"flip_share": settings.flip_share, **variants}, change, "")
    flip_share = merged.pop("flip_share")
    listed = [kinds[name] | values for name, values in merged.items()]
    try:
        return DegradeSettings.model_validate({"crop_px": settings.crop_px, "flip_share": flip_share, "variants": listed})
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in one['loc'])} = {one['input']!r}: {one['msg']}" for one in error.errors()
        )
        raise SettingsError(f"The changed degradation does not fit: {wrong}.") from error


def _laid_over(values: Mapping[str, Any], change: Mapping[str, Any], path: str) -> dict[str, Any]:
    merged = dict(values)
    for key, value in change.items():
        if key not in merged:
            raise SettingsError(f"The degradation has no setting '{path}{key}'.{suggest(key, list(values))}")
        if isinstance(merged[key], Mapping) != isinstance(value, Mapping):
            raise SettingsError(
                f"Expected {'settings' if isinstance(merged[key], Mapping) else 'a value'} for '{path}{key}', got {value!r}."
            )
        merged[key] = _laid_over(merged[key], value, f"{path}{key}.") if isinstance(value, Mapping) else value
    return merged
