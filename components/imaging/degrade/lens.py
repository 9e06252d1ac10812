"""Lens blur: a picture out of focus.

Every point becomes a disc, the circle of confusion of geometric optics, of even weight (Lagendijk and Biemond, "Basic methods for
image restoration and identification", Handbook of Image and Video Processing, 2000: uniform out-of-focus blur). Light adds up on
the sensor, so the sum is taken in linear light, where highlights become discs too.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.imaging.degrade import kernels
from components.imaging.degrade.carrier import Pixels
from components.imaging.degrade.correlate import correlate_few
from components.imaging.degrade.light import from_light, to_light
from components.records import Record

WIDEST_PX = 24


class Lens(Record):
    """Defocus of one recipe."""

    kind: Literal["lens"] = "lens"
    radius_px: Annotated[float, Field(ge=0.5, le=WIDEST_PX)]
    """Radius of the disc."""


def lens(image: Pixels, step: Lens, size_px: tuple[int, int]) -> Pixels:
    """Blur with the disc; borders are reflect-101.

    Args:
        image: (H, W, 3) float32, 0..255.
        step: its radius.
        size_px: not used.
    """
    del size_px
    return from_light(correlate_few(to_light(image), kernels.disc(step.radius_px)))
