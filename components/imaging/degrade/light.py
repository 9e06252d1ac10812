"""Between sRGB levels and linear light, by tables whose entries lie on a grid, so that no processor's pow reaches the pixels.

The curve is IEC 61966-2-1: L = v / 12.92 up to v = 0.04045, ((v + 0.055) / 1.055)^2.4 above it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from components.imaging.degrade.carrier import Pixels

PARTS = 256
"""Entries per level on the way to light: a level is taken to the nearest 1/256."""
LIGHTS = 65_535
"""Steps of light on the way back; the widest one, next to black, is 0.05 levels."""
_LIGHT_GRID, _LEVEL_GRID = 2.0**-24, 2.0**-16

Doubles = npt.NDArray[np.float64]


def to_light(image: Pixels) -> Pixels:
    """From levels to light.

    Args:
        image: (H, W, 3) float32, 0..255; what is outside is clipped.

    Returns:
        (H, W, 3) float32, 0..1.
    """
    result: Pixels = np.take(_lights(), places(image))
    return result


def from_light(light: Pixels) -> Pixels:
    """From light to levels, not rounded to whole ones.

    Args:
        light: (H, W, 3) float32, 0..1; what is outside is clipped, as in a sensor that is full.
    """
    result: Pixels = np.take(_levels(), np.rint(np.clip(light, 0, 1) * np.float32(LIGHTS)).astype(np.uint16))
    return result


def places(image: Pixels) -> npt.NDArray[np.uint16]:
    """Entry of each level in a table over `steps`."""
    result: npt.NDArray[np.uint16] = np.rint(np.clip(image, 0, 255) * np.float32(PARTS)).astype(np.uint16)
    return result


def steps() -> Doubles:
    """Levels of the entries of a table, over 255."""
    return np.arange(255 * PARTS + 1) / (255 * PARTS)


def linear(value: Doubles) -> Doubles:
    """Light of sRGB values, both 0..1."""
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def encoded(light: Doubles) -> Pixels:
    """Levels 0..255 of light 0..1, on the grid; for making tables."""
    value = np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
    levels: Pixels = (np.rint(value * 255 / _LEVEL_GRID) * _LEVEL_GRID).astype(np.float32)
    return levels


@cache
def _lights() -> Pixels:
    return (np.rint(linear(steps()) / _LIGHT_GRID) * _LIGHT_GRID).astype(np.float32)


@cache
def _levels() -> Pixels:
    return encoded(np.arange(LIGHTS + 1) / LIGHTS)
