"""Motion blur: the picture moved evenly along a line while the shutter was open.

The spread is a line of even weight (Lagendijk and Biemond, "Basic methods for image restoration and identification", Handbook
of Image and Video Processing, 2000: linear motion blur; the straight case of Boracchi and Foi, IEEE TIP 21(8), 2012). Light adds
up on the sensor, so the sum is taken in linear light.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from components.imaging.degrade import kernels
from components.imaging.degrade.carrier import Pixels
from components.imaging.degrade.correlate import correlate_few
from components.imaging.degrade.light import from_light, to_light
from components.records import Record

LONGEST_PX = 64


class Motion(Record):
    """Motion of one recipe."""

    kind: Literal["motion"] = "motion"
    length_px: Annotated[float, Field(ge=1, le=LONGEST_PX)]
    """Way of the picture on the sensor."""
    theta: Annotated[float, Field(ge=-math.pi / 2, le=math.pi / 2)]
    """rad, counted from the columns' axis to that of the rows; a line and its half turn are the same."""


def motion(image: Pixels, step: Motion, size_px: tuple[int, int]) -> Pixels:
    """Blur along the line; borders are reflect-101.

    Args:
        image: (H, W, 3) float32, 0..255.
        step: length and angle.
        size_px: not used.
    """
    del size_px
    return from_light(correlate_few(to_light(image), kernels.motion(step.length_px, step.theta)))
