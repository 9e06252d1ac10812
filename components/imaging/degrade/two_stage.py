"""The second-order degradation of Real-ESRGAN, drawn for each picture alone: blur, resize, noise and JPEG, twice, then sinc.

Ranges and probabilities are DreamClear's, which are Real-ESRGAN's. Three things differ from their programs: whether a picture
is enlarged, blurred twice, and so on is drawn for it, not for its whole batch; qualities are whole numbers for real libjpeg;
and downsampling by `area` takes exact areas.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal, Self, get_args

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from components.imaging.degrade.anchor_jpeg import AnchorJpeg
from components.imaging.degrade.drawing import (
    AboveZero,
    AtLeastZero,
    Qualities,
    Share,
    between,
    choose,
    in_order,
    whole,
)
from components.imaging.degrade.extras import Extras, ExtraSettings
from components.imaging.degrade.filter import Sinc, Size, Spread
from components.imaging.degrade.jpeg import Jpeg
from components.imaging.degrade.kernels import Shape
from components.imaging.degrade.noise import GreyNoise, Noise
from components.imaging.degrade.operators import Step
from components.imaging.degrade.resize import Fit, Mode, Rescale, Resize
from components.imaging.degrade.shot import Poisson
from components.records import Settings

SHAPES: tuple[Shape, ...] = get_args(Shape)
MODES: tuple[Mode, ...] = get_args(Mode)
SIZES = tuple(range(7, 22, 2))
SMALL_PX = 13
"""From this size on a sinc kernel may cut lower."""
NUMBERS = 48
"""Uniform numbers that one picture takes."""
BACK = Resize(scale=None, mode="bicubic")
"""What a viewer does with the small picture."""

Numbers = Iterator[float]
_Angle = Annotated[float, Field(ge=-math.pi, le=math.pi)]
_Cutoff = Annotated[float, Field(ge=1e-4, le=math.pi)]
Cutoffs = Annotated[tuple[_Cutoff, _Cutoff], AfterValidator(in_order)]
"""rad per pixel."""
Betas = tuple[Annotated[float, Field(ge=1e-4, le=1)], Annotated[float, Field(ge=1)]]
"""Half of the draws lie between the lower end and 1, half between 1 and the upper end."""
_Smaller = Annotated[float, Field(ge=1e-4, le=1)]
Weight = Annotated[float, Field(ge=0)]


def _odd(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Refuse a kernel without a pixel in its middle."""
    even = [size for size in sizes if size % 2 == 0]
    if even or not sizes:
        raise ValueError(f"expected odd sides, got {even or 'none'}")
    return sizes


class KernelSettings(Settings):
    """Which kernel blurs."""

    sizes: Annotated[tuple[Size, ...], AfterValidator(_odd)] = SIZES
    """Odd sides, px, equally likely."""
    sinc_share: Share = 0.1
    shape_shares: tuple[Weight, Weight, Weight, Weight, Weight, Weight] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    """Of the rest: Gaussian, generalised Gaussian and plateau, each isotropic and anisotropic."""
    sigma_px: AboveZero = (0.2, 3.0)
    theta: Annotated[tuple[_Angle, _Angle], AfterValidator(in_order)] = (-math.pi, math.pi)
    """rad."""
    beta_generalised: Betas = (0.5, 4.0)
    beta_plateau: Betas = (1.0, 2.0)
    sinc_cutoff_small: Cutoffs = (math.pi / 3, math.pi)
    """For sides below 13 px."""
    sinc_cutoff: Cutoffs = (math.pi / 5, math.pi)
    """For the others."""

    @model_validator(mode="after")
    def _some_shape(self) -> Self:
        if not any(self.shape_shares):
            raise ValueError("expected a shape share above 0")
        return self

    def draw(self, numbers: Numbers) -> Spread | Sinc:
        """Draw one kernel; takes nine numbers."""
        size = self.sizes[int(next(numbers) * len(self.sizes))]
        is_sinc, cutoff = next(numbers) < self.sinc_share, next(numbers)
        shape = SHAPES[choose(self.shape_shares, next(numbers))]
        sigma_x_px, sigma_y_px = between(self.sigma_px, next(numbers)), between(self.sigma_px, next(numbers))
        theta, side, beta = next(numbers), next(numbers), next(numbers)
        if is_sinc:
            limits = self.sinc_cutoff_small if size < SMALL_PX else self.sinc_cutoff
            return Sinc(size=size, cutoff=_angle(limits, cutoff))
        if shape in ("iso", "aniso"):
            exponent = 1.0
        else:
            low, high = self.beta_plateau if shape.startswith("plateau") else self.beta_generalised
            exponent = between((low, 1.0) if side < 0.5 else (1.0, high), beta)
        return Spread(
            shape=shape,
            size=size,
            sigma_x_px=sigma_x_px,
            sigma_y_px=sigma_y_px if "aniso" in shape else sigma_x_px,
            theta=_angle(self.theta, theta) if "aniso" in shape else 0.0,
            beta=exponent,
        )


class ResizeSettings(Settings):
    """How much larger or smaller."""

    up_share: Share = 0.2
    down_share: Share = 0.7
    """The rest keeps its size."""
    up: Annotated[tuple[Annotated[float, Field(ge=1)], Annotated[float, Field(ge=1)]], AfterValidator(in_order)] = (1.0, 1.5)
    down: Annotated[tuple[_Smaller, _Smaller], AfterValidator(in_order)] = (0.15, 1.0)

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.up_share + self.down_share > 1 + 1e-9:
            raise ValueError(f"expected up_share + down_share of at most 1, got {self.up_share} + {self.down_share}")
        return self

    def draw(self, numbers: Numbers) -> tuple[float, Mode]:
        """Draw factor and mode; takes three numbers."""
        which, at, mode = next(numbers), next(numbers), MODES[int(next(numbers) * len(MODES))]
        if which < self.up_share:
            return between(self.up, at), mode
        return (between(self.down, at) if which < self.up_share + self.down_share else 1.0), mode


class NoiseSettings(Settings):
    """Which noise."""

    gaussian_share: Share = 0.5
    """The rest is Poisson noise."""
    grey_share: Share = 0.4
    sigma_u8: AtLeastZero = (1.0, 30.0)
    """Standard deviation on the 0..255 scale."""
    poisson_scale: AtLeastZero = (0.05, 3.0)

    def draw(self, numbers: Numbers) -> Noise | GreyNoise | Poisson:
        """Draw one noise; takes four numbers."""
        gaussian, grey = next(numbers) < self.gaussian_share, next(numbers) < self.grey_share
        at, seed = next(numbers), int(next(numbers) * 2**32)
        if not gaussian:
            return Poisson(scale=between(self.poisson_scale, at), grey=grey, seed=seed)
        made = GreyNoise if grey else Noise
        return made(sigma_u8=between(self.sigma_u8, at), seed=seed)


class TwoStage(Settings):
    """Blur, resize, noise and JPEG, twice; a low-pass before or after the last JPEG; back to the old size."""

    kind: Literal["two-stage"] = "two-stage"
    name: str = "two-stage"
    """Of this variant within its preset."""
    share: Weight = 1.0
    """Relative frequency of this variant within its preset."""
    sharpen: bool = True
    """Sharpen the HQ picture first; the sharpened one is the HQ of the pair."""
    blur_1: KernelSettings = KernelSettings()
    resize_1: ResizeSettings = ResizeSettings()
    noise_1: NoiseSettings = NoiseSettings()
    jpeg_quality_1: Qualities = (30, 95)
    blur_2_share: Share = 0.8
    blur_2: KernelSettings = KernelSettings(sigma_px=(0.2, 1.5))
    resize_2: ResizeSettings = ResizeSettings(up_share=0.3, down_share=0.4, up=(1.0, 1.2), down=(0.3, 1.0))
    noise_2: NoiseSettings = NoiseSettings(sigma_u8=(1.0, 25.0), poisson_scale=(0.05, 2.5))
    jpeg_quality_2: Qualities = (30, 95)
    end_part: Annotated[float, Field(gt=0)] = 0.25
    """Side of LQ before it is enlarged again, over the side of HQ."""
    end_first_share: Share = 0.5
    """How often the last resize and the low-pass come before the last JPEG, not after it."""
    final_sinc_share: Share = 0.8
    final_sinc_cutoff: Cutoffs = (math.pi / 3, math.pi)
    jpeg: Literal["real", "anchor"] = "real"
    """libjpeg, or what the anchors imitate it by, for comparison; the same numbers are drawn."""
    extras: ExtraSettings = ExtraSettings()
    """Degradations that the anchors do not have."""

    def draw(self, generator: np.random.Generator) -> tuple[Step, ...]:
        """Draw one picture's steps; what later ones take does not move what earlier ones draw."""
        numbers = iter(generator.random(NUMBERS).tolist())
        extras = self.extras.draw(generator)
        first, (factor, mode) = self.blur_1.draw(numbers), self.resize_1.draw(numbers)
        steps: list[Step] = [*extras.print, *extras.optics, first]
        if factor != 1:
            steps.append(Rescale(factor=factor, mode=mode))
        noise = self.noise_1.draw(numbers)
        steps += [extras.noise or noise, *extras.video, self._file(self.jpeg_quality_1, next(numbers))]
        twice, second = next(numbers) < self.blur_2_share, self.blur_2.draw(numbers)
        if twice:
            steps.append(second)
        factor, mode = self.resize_2.draw(numbers)
        steps.append(Fit(part=round(self.end_part * factor, 6), mode=mode))
        steps.append(self.noise_2.draw(numbers))
        steps += self._end(numbers, extras)
        return tuple(steps)

    def _end(self, numbers: Numbers, extras: Extras) -> list[Step]:
        """Draw what comes last; takes six numbers."""
        jpeg = self._file(self.jpeg_quality_2, next(numbers))
        file: list[Step] = [*extras.editor, extras.file or jpeg]
        end_first, mode = next(numbers) < self.end_first_share, MODES[int(next(numbers) * len(MODES))]
        is_sinc, size, cutoff = next(numbers) < self.final_sinc_share, next(numbers), next(numbers)
        end: list[Step] = [Fit(part=self.end_part, mode=mode)]
        if is_sinc:
            sizes = self.blur_1.sizes
            end.append(Sinc(size=sizes[int(size * len(sizes))], cutoff=_angle(self.final_sinc_cutoff, cutoff)))
        return [*end, *file, BACK] if end_first else [*file, *end, BACK]

    def _file(self, limits: tuple[int, int], at: float) -> Jpeg | AnchorJpeg:
        """Take a whole quality for libjpeg, one with fractions for the anchors'."""
        if self.jpeg == "real":
            return Jpeg(quality=whole(limits, at))
        return AnchorJpeg(quality=min(99, round(between(limits, at), 2)))


def _angle(limits: tuple[float, float], at: float) -> float:
    """Map [0, 1) to a range; cut off after four digits, so that it stays within pi."""
    low, high = limits
    return math.trunc((low + (high - low) * at) * 1e4) / 1e4
