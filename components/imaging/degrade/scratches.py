"""Scratches, hairs and specks of an old photo.

Wan et al., "Bringing Old Photos Back to Life", CVPR 2020, lay collected pictures of scratches on the photo with random opacity,
lighter or darker. Here the scratches are drawn: bent lines whose depth changes along their way, most of them light (the
emulsion is gone), the rest dark (hairs, dirt), and round specks. Their number, lengths and tones are ours. Only sums, products,
quotients and square roots are taken, so that the bytes are the same everywhere.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from components.imaging.degrade.carrier import Pixels
from components.records import Record

LIGHT_U8, DARK_U8 = 240.0, 30.0
LIGHT_SHARE = 0.8
LENGTHS = (0.05, 0.8)
"""Over the longer side; short ones are more frequent."""
BEND = 0.2
"""Most that a line leaves its chord on either side, over its length; twice the bend of its middle."""
WIDTHS = (0.5, 1.5)
"""Over the width of the recipe."""
SPECKS = (0.3, 1.5)
"""Radius over the width of the recipe; small ones are more frequent."""
PIECES = 12
"""Straight pieces of a line."""

Doubles = npt.NDArray[np.float64]


class Scratches(Record):
    """Scratches of one recipe; where they lie is made from the seed again, as fractions of the picture."""

    kind: Literal["scratches"] = "scratches"
    lines: Annotated[int, Field(ge=0, le=200)]
    specks: Annotated[int, Field(ge=0, le=500)]
    opacity_percent: Annotated[int, Field(ge=0, le=100)]
    """Of the deepest; each has half of it at least."""
    width_px: Annotated[float, Field(gt=0, le=16)]
    """Mean width of a line."""
    seed: Annotated[int, Field(ge=0, lt=2**64)]


def scratches(image: Pixels, step: Scratches, size_px: tuple[int, int]) -> Pixels:
    """Lay light and dark marks on the picture.

    Args:
        image: (H, W, 3) float32, 0..255.
        step: how many, how deep, how wide, and the seed.
        size_px: not used.
    """
    del size_px
    generator = np.random.Generator(np.random.Philox(key=step.seed))
    depths = np.zeros((2, *image.shape[:2]))
    for numbers in generator.random((step.lines, 8 + PIECES - 1)):
        points, half_px = _line(numbers, image.shape, step.width_px)
        nodes = np.concatenate([[0.0], numbers[8:], [0.0]]) * _strength(numbers, step)
        for piece in range(PIECES):
            _mark(depths[_tone(numbers)], points[piece : piece + 2], nodes[piece : piece + 2], half_px)
    for numbers in generator.random((step.specks, 5)):
        place = numbers[2:4] * (image.shape[1], image.shape[0])
        strength, radius = np.repeat(_strength(numbers, step), 2), _between(SPECKS, numbers[4] * numbers[4]) * step.width_px
        _mark(depths[_tone(numbers)], np.stack([place, place]), strength, radius)
    light, dark = (depth.astype(np.float32)[..., None] for depth in depths)
    lightened = image + light * (np.float32(LIGHT_U8) - image)
    result: Pixels = lightened + dark * (np.float32(DARK_U8) - lightened)
    return result


def _between(limits: tuple[float, float], at: float) -> float:
    return limits[0] + (limits[1] - limits[0]) * at


def _tone(numbers: Doubles) -> int:
    """0 for light, 1 for dark."""
    return int(numbers[0] >= LIGHT_SHARE)


def _strength(numbers: Doubles, step: Scratches) -> float:
    return float(step.opacity_percent / 100 * _between((0.5, 1.0), numbers[1]))


def _line(numbers: Doubles, shape: tuple[int, ...], width_px: float) -> tuple[Doubles, float]:
    """Corners (PIECES + 1, 2), x and y, of a quadratic Bezier curve, and half of its width, px."""
    height, width = shape[:2]
    start = numbers[2:4] * (width, height)
    way = 2 * numbers[4:6] - 1
    way = way / max(1e-3, float(np.sqrt(way[0] * way[0] + way[1] * way[1])))
    length = _between(LENGTHS, numbers[6] * numbers[6]) * max(height, width)
    # one number for both: wide lines are bent to one side, narrow ones to the other, which nobody sees
    bend = BEND * (2 * numbers[7] - 1) * length
    middle = start + way * (length / 2) + np.array([-way[1], way[0]]) * bend
    at = (np.arange(PIECES + 1) / PIECES)[:, None]
    points = start * (1 - at) * (1 - at) + 2 * middle * at * (1 - at) + (start + way * length) * at * at
    return points, _between(WIDTHS, numbers[7]) * width_px / 2


def _mark(depth: Doubles, ends: Doubles, strengths: Doubles, half_px: float) -> None:
    """Deepen what lies within a distance of a straight piece, with a soft edge of one pixel."""
    height, width = depth.shape
    reach = half_px + 0.5
    left, top = (max(0, int(np.floor(low))) for low in ends.min(axis=0) - reach)
    highest = ends.max(axis=0) + reach
    right, bottom = min(width, int(np.ceil(highest[0])) + 1), min(height, int(np.ceil(highest[1])) + 1)
    if left >= right or top >= bottom:
        return
    x, y = np.arange(left, right) + 0.5 - ends[0, 0], np.arange(top, bottom)[:, None] + 0.5 - ends[0, 1]
    dx, dy = ends[1] - ends[0]
    at = np.clip((x * dx + y * dy) / max(1e-12, dx * dx + dy * dy), 0, 1)
    away_x, away_y = x - at * dx, y - at * dy
    edge = np.clip(reach - np.sqrt(away_x * away_x + away_y * away_y), 0, 1)
    deeper = edge * (strengths[0] + (strengths[1] - strengths[0]) * at)
    part = depth[top:bottom, left:right]
    np.maximum(part, deeper, out=part)
