"""The table of degradations: one file, one line here and one test add another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field

from components.imaging.degrade.blur import Blur, blur
from components.imaging.degrade.carrier import Pixels
from components.imaging.degrade.filter import Sinc, Spread, sinc, spread
from components.imaging.degrade.jpeg import Jpeg, jpeg
from components.imaging.degrade.noise import GreyNoise, Noise, noise
from components.imaging.degrade.resize import Fit, Rescale, Resize, fit, rescale, resize
from components.imaging.degrade.shot import Poisson, poisson

Step = Annotated[Blur | Resize | Noise | Jpeg | Spread | Sinc | Rescale | Fit | GreyNoise | Poisson, Field(discriminator="kind")]
"""One drawn operation, told apart by `kind`."""

DEGRADATIONS: Mapping[str, Callable[[Pixels, Any, tuple[int, int]], Pixels]] = {
    "blur": blur,
    "resize": resize,
    "noise": noise,
    "jpeg": jpeg,
    "spread": spread,
    "sinc": sinc,
    "rescale": rescale,
    "fit": fit,
    "grey_noise": noise,
    "poisson": poisson,
}
"""`kind` of a step -> the function that carries it out on (H, W, 3) float32 pixels, 0..255."""
