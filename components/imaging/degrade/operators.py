"""The table of degradations: one file, one line here and one test add another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field

from components.imaging.degrade.anchor_jpeg import AnchorJpeg, anchor_jpeg
from components.imaging.degrade.blur import Blur, blur
from components.imaging.degrade.carrier import Pixels
from components.imaging.degrade.chroma import Chroma, chroma
from components.imaging.degrade.container import Avif, Webp, avif, webp
from components.imaging.degrade.fading import Fading, fading
from components.imaging.degrade.filter import Sinc, Spread, sinc, spread
from components.imaging.degrade.halo import Halo, halo
from components.imaging.degrade.jpeg import Jpeg, jpeg
from components.imaging.degrade.lens import Lens, lens
from components.imaging.degrade.motion import Motion, motion
from components.imaging.degrade.noise import GreyNoise, Noise, noise
from components.imaging.degrade.resize import Fit, Rescale, Resize, fit, rescale, resize
from components.imaging.degrade.scratches import Scratches, scratches
from components.imaging.degrade.sensor import Sensor, sensor
from components.imaging.degrade.shot import Poisson, poisson

Core = Blur | Resize | Noise | Jpeg | Spread | Sinc | Rescale | Fit | GreyNoise | Poisson
Extra = Motion | Lens | Sensor | Chroma | Webp | Avif | Fading | Scratches | Halo | AnchorJpeg
"""Degradations that no preset draws."""
Step = Annotated[Core | Extra, Field(discriminator="kind")]
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
    "motion": motion,
    "lens": lens,
    "sensor": sensor,
    "chroma": chroma,
    "webp": webp,
    "avif": avif,
    "fading": fading,
    "scratches": scratches,
    "halo": halo,
    "anchor_jpeg": anchor_jpeg,
}
"""`kind` of a step -> the function that carries it out on (H, W, 3) float32 pixels, 0..255."""
