"""Degradations beyond the anchors', each switched on by its share, and where they go in the chain.

In the order of a picture's life: a print fades and is scratched before anything else happens to it; motion and defocus come with
the first blur; sensor noise takes the place of the first noise, which stands for the same event; colour is subsampled before the
first file; an editor's halos come right before the last file, and that file may be WebP or AVIF. Ranges marked "ours" have no
source but the look of the pictures in docs/degradation.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from statistics import NormalDist
from typing import Annotated, NamedTuple, Self, get_args

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from components.imaging.degrade.chroma import Chroma, Layout, Upsampling
from components.imaging.degrade.container import Avif, Webp
from components.imaging.degrade.drawing import Range, Share, between, whole
from components.imaging.degrade.fading import Fading
from components.imaging.degrade.halo import Halo
from components.imaging.degrade.lens import WIDEST_PX, Lens
from components.imaging.degrade.motion import LONGEST_PX, Motion
from components.imaging.degrade.operators import Step
from components.imaging.degrade.scratches import Scratches
from components.imaging.degrade.sensor import Sensor
from components.records import Settings

Whole = tuple[int, int]
"""Both ends included, equally likely."""
Numbers = Iterator[float]
NUMBERS = 28
"""Uniform numbers that the extras of one picture take, whatever their shares."""


def _inside(low: float, high: float) -> AfterValidator:
    """Check where settings are read, not where recipes are drawn, that both ends rise and lie within what a step takes."""

    def check(limits: tuple[float, float]) -> tuple[float, float]:
        if not low <= limits[0] <= limits[1] <= high:
            raise ValueError(f"expected two rising numbers from {low} to {high}, got {limits[0]} and {limits[1]}")
        return limits

    return AfterValidator(check)


class Extras(NamedTuple):
    """What was drawn, by the place in the chain."""

    print: tuple[Step, ...]
    optics: tuple[Step, ...]
    noise: Sensor | None
    video: tuple[Step, ...]
    editor: tuple[Step, ...]
    file: Webp | Avif | None


NONE = Extras((), (), None, (), (), None)


class FadingSettings(Settings):
    """How a print has faded; ours, dyes that keep half to all of their density."""

    share: Share = 0.0
    keep_percent: Annotated[Whole, _inside(1, 100)] = (50, 100)
    """Density left of each dye."""
    stain_hundredths: Annotated[Whole, _inside(0, 100)] = (0, 30)
    """Density of the yellowed paper in blue."""

    def draw(self, numbers: Numbers) -> tuple[Step, ...]:
        """Draw fading or none; takes five numbers."""
        which, *dyes, stain = islice(numbers, 5)
        if which >= self.share:
            return ()
        cyan, magenta, yellow = (whole(self.keep_percent, at) for at in dyes)
        stain_hundredths = whole(self.stain_hundredths, stain)
        return (Fading(cyan_percent=cyan, magenta_percent=magenta, yellow_percent=yellow, stain_hundredths=stain_hundredths),)


class ScratchesSettings(Settings):
    """How a print is scratched; ours."""

    share: Share = 0.0
    lines: Annotated[Whole, _inside(0, 200)] = (1, 20)
    specks: Annotated[Whole, _inside(0, 500)] = (0, 60)
    opacity_percent: Annotated[Whole, _inside(0, 100)] = (30, 100)
    width_px: Annotated[Range, _inside(0.1, 16)] = (0.8, 3.0)

    def draw(self, numbers: Numbers) -> tuple[Step, ...]:
        """Draw scratches or none; takes six numbers."""
        which, lines, specks, opacity, width, seed = islice(numbers, 6)
        if which >= self.share:
            return ()
        step = Scratches(
            lines=whole(self.lines, lines),
            specks=whole(self.specks, specks),
            opacity_percent=whole(self.opacity_percent, opacity),
            width_px=_tenths(self.width_px, width),
            seed=_seed(seed),
        )
        return (step,)


class MotionSettings(Settings):
    """How far and which way the picture moved; ours, from hardly seen to texture gone."""

    share: Share = 0.0
    length_px: Annotated[Range, _inside(1, LONGEST_PX)] = (2.0, 20.0)
    theta: Annotated[Range, _inside(-1.57, 1.57)] = (-1.57, 1.57)
    """rad; a line and its half turn are the same."""

    def draw(self, numbers: Numbers) -> tuple[Step, ...]:
        """Draw motion or none; takes three numbers."""
        which, length, theta = islice(numbers, 3)
        if which >= self.share:
            return ()
        return (Motion(length_px=_tenths(self.length_px, length), theta=round(between(self.theta, theta), 2)),)


class LensSettings(Settings):
    """How far out of focus; ours."""

    share: Share = 0.0
    radius_px: Annotated[Range, _inside(0.5, WIDEST_PX)] = (1.0, 6.0)

    def draw(self, numbers: Numbers) -> tuple[Step, ...]:
        """Draw defocus or none; takes two numbers."""
        which, radius = islice(numbers, 2)
        return (Lens(radius_px=_tenths(self.radius_px, radius)),) if which < self.share else ()


class SensorSettings(Settings):
    """Noise of real cameras, fitted to the Darmstadt data set (Brooks et al., CVPR 2019, section 3.1)."""

    share: Share = 0.0
    """How often it takes the place of the first noise."""
    shot: Annotated[Range, _inside(1e-9, 1)] = (1e-4, 0.012)
    """Log-uniform."""
    read_slope: float = 2.18
    """log read is normal, its mean a line over log shot; natural logarithms."""
    read_offset: float = 1.20
    read_sigma: Annotated[float, Field(gt=0)] = 0.26

    def draw(self, numbers: Numbers) -> Sensor | None:
        """Draw noise or none; takes four numbers."""
        which, at, deviation, seed = islice(numbers, 4)
        if which >= self.share:
            return None
        low, high = (math.log(end) for end in self.shot)
        log_shot = low + (high - low) * at
        mean = self.read_slope * log_shot + self.read_offset
        log_read = NormalDist(mean, self.read_sigma).inv_cdf(min(max(deviation, 1e-6), 1 - 1e-6))
        shot, read = (float(f"{min(math.exp(value), 1):.2g}") for value in (log_shot, log_read))
        return Sensor(shot=shot, read=read, seed=_seed(seed))


class ChromaSettings(Settings):
    """Which subsampling, the layouts of video (4:1:1 is DV's) and of old codecs (4:1:0); ours, equally likely."""

    share: Share = 0.0
    layouts: Annotated[tuple[Layout, ...], Field(min_length=1)] = get_args(Layout)

    def draw(self, numbers: Numbers) -> tuple[Step, ...]:
        """Draw subsampling or none; takes three numbers."""
        which, layout, upsampling = islice(numbers, 3)
        if which >= self.share:
            return ()
        ways: tuple[Upsampling, ...] = get_args(Upsampling)
        return (Chroma(layout=self.layouts[int(layout * len(self.layouts))], upsampling=ways[int(upsampling * len(ways))]),)


class HaloSettings(Settings):
    """How much over-sharpened; ours, above the 50 to 150 % at about 1 px that sharpening is done with."""

    share: Share = 0.0
    amount_percent: Annotated[Whole, _inside(0, 1000)] = (100, 400)
    sigma_px: Annotated[Range, _inside(0.1, 12)] = (0.6, 2.5)
    """In pixels of LQ before it is enlarged."""

    def draw(self, numbers: Numbers) -> tuple[Step, ...]:
        """Draw halos or none; takes three numbers."""
        which, amount, sigma = islice(numbers, 3)
        if which >= self.share:
            return ()
        return (Halo(amount_percent=whole(self.amount_percent, amount), sigma_px=_tenths(self.sigma_px, sigma)),)


class FileSettings(Settings):
    """How often the last file is no JPEG.

    Qualities are those whose PSNR is that of the anchors' JPEG, 30 to 95: 28.2 to 38.5 dB over six Kodak photos of 384x256 px.
    """

    webp_share: Share = 0.0
    avif_share: Share = 0.0
    """The rest is JPEG."""
    webp_quality: Annotated[Whole, _inside(0, 100)] = (15, 90)
    avif_quality: Annotated[Whole, _inside(0, 100)] = (35, 85)

    @model_validator(mode="after")
    def _at_most_all(self) -> Self:
        """Refuse more than every file."""
        if self.webp_share + self.avif_share > 1:
            raise ValueError(f"expected webp_share + avif_share of at most 1, got {self.webp_share} + {self.avif_share}")
        return self

    def draw(self, numbers: Numbers) -> Webp | Avif | None:
        """Draw the format, None for JPEG; takes two numbers."""
        which, at = islice(numbers, 2)
        if which < self.webp_share:
            return Webp(quality=whole(self.webp_quality, at))
        return Avif(quality=whole(self.avif_quality, at)) if which < self.webp_share + self.avif_share else None


class ExtraSettings(Settings):
    """Degradations beyond the anchors'; all are off."""

    fading: FadingSettings = FadingSettings()
    scratches: ScratchesSettings = ScratchesSettings()
    motion: MotionSettings = MotionSettings()
    lens: LensSettings = LensSettings()
    sensor: SensorSettings = SensorSettings()
    chroma: ChromaSettings = ChromaSettings()
    halo: HaloSettings = HaloSettings()
    file: FileSettings = FileSettings()

    @cached_property
    def some(self) -> bool:
        """Whether anything is on."""
        single = (self.fading, self.scratches, self.motion, self.lens, self.sensor, self.chroma, self.halo)
        return any(one.share for one in single) or self.file.webp_share + self.file.avif_share > 0

    def draw(self, generator: np.random.Generator) -> Extras:
        """Draw one picture's extras; where something is on it takes the same number of random numbers, the last ones, always."""
        if not self.some:
            return NONE
        numbers = iter(generator.random(NUMBERS).tolist())
        return Extras(
            print=(*self.fading.draw(numbers), *self.scratches.draw(numbers)),
            optics=(*self.motion.draw(numbers), *self.lens.draw(numbers)),
            noise=self.sensor.draw(numbers),
            video=self.chroma.draw(numbers),
            editor=self.halo.draw(numbers),
            file=self.file.draw(numbers),
        )


def _tenths(limits: Range, at: float) -> float:
    """Map [0, 1) to a range: finer steps nobody sees, and a recipe has 400 bytes."""
    return round(between(limits, at), 1)


def _seed(at: float) -> int:
    return int(at * 2**24)
