"""Fading of a colour print: its dyes lose density and its paper turns yellow.

A print's density in each channel, D = -log10(reflectance), becomes keep D + stain: each dye bleaches in proportion (Gschwind and
Frey, "Electronic imaging, a tool for the reconstruction of faded color photographs", J. Imaging Sci. Technol. 38(6), 1994), cyan
dye in the red channel, magenta in green, yellow in blue; the stain is that of white paper, seen by blue most (Wilhelm and Brower,
"The Permanence and Care of Color Photographs", 1993). Fading is one of the defects of Wan et al., "Bringing Old Photos Back to
Life", CVPR 2020. A scanner set to the black of a fresh print makes 0 of its deepest density, 2.2.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from components.imaging.degrade.carrier import Pixels
from components.imaging.degrade.light import encoded, linear, places, steps
from components.records import Record

DEEPEST_DENSITY = 2.2
STAIN_SHARES = (0.1, 0.35, 1.0)
"""Stain in red, green and blue, over that in blue; ours, from the look of yellowed paper."""

Keep = Annotated[int, Field(ge=1, le=100)]


class Fading(Record):
    """Fading of one recipe."""

    kind: Literal["fading"] = "fading"
    cyan_percent: Keep
    """What is left of the dye's density; 100 is fresh."""
    magenta_percent: Keep
    yellow_percent: Keep
    stain_hundredths: Annotated[int, Field(ge=0, le=100)]
    """Density of the yellowed paper in the blue channel."""


def fading(image: Pixels, step: Fading, size_px: tuple[int, int]) -> Pixels:
    """Fade each channel by its table.

    Args:
        image: (H, W, 3) float32, 0..255.
        step: what is left of the dyes, and the stain.
        size_px: not used.
    """
    del size_px
    where = places(image)
    black = 10.0**-DEEPEST_DENSITY
    reflectance = black + (1 - black) * linear(steps())
    channels = []
    for channel, keep in enumerate((step.cyan_percent, step.magenta_percent, step.yellow_percent)):
        faded = reflectance ** (keep / 100) * 10.0 ** -(step.stain_hundredths / 100 * STAIN_SHARES[channel])
        table = encoded(np.clip((faded - black) / (1 - black), 0, 1))
        channels.append(np.take(table, where[..., channel]))
    return np.stack(channels, axis=-1)
