"""Scratches beside distances that are computed pixel by pixel."""

from __future__ import annotations

import math

import numpy as np

from components.imaging.degrade.scratches import Scratches, scratches
from tests.components.imaging.degrade.test_filters import HERE, made


def distance(pixel, start, end):
    """To a straight piece, and how far along it the nearest point is, 0..1."""
    way = end - start
    at = float(np.clip(np.dot(pixel - start, way) / max(1e-12, np.dot(way, way)), 0, 1))
    return math.dist(pixel, start + at * way), at


def marks(step, height, width):
    """(tone, corners, strengths, half width) of each mark, from the same numbers."""
    generator = np.random.Generator(np.random.Philox(key=step.seed))
    for tone, strength, x, y, u, v, length, bend, *nodes in generator.random((step.lines, 19)).tolist():
        start, way = np.array([x * width, y * height]), np.array([2 * u - 1, 2 * v - 1])
        way /= np.linalg.norm(way)
        length_px = (0.05 + 0.75 * length**2) * max(height, width)
        end = start + way * length_px
        middle = (start + end) / 2 + np.array([-way[1], way[0]]) * 0.2 * (2 * bend - 1) * length_px
        corners = [(1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end for t in np.linspace(0, 1, 13)]
        deepest = step.opacity_percent / 100 * (0.5 + 0.5 * strength)
        yield tone >= 0.8, corners, [deepest * node for node in (0, *nodes, 0)], (0.5 + bend) * step.width_px / 2
    for tone, strength, x, y, radius in generator.random((step.specks, 5)).tolist():
        place, deepest = np.array([x * width, y * height]), step.opacity_percent / 100 * (0.5 + 0.5 * strength)
        yield tone >= 0.8, [place, place], [deepest] * 2, (0.3 + 1.2 * radius**2) * step.width_px


def by_pixel(image, step):
    height, width = image.shape[:2]
    depths = np.zeros((2, height, width))
    for is_dark, corners, strengths, half in marks(step, height, width):
        for row, column in np.ndindex(height, width):
            for piece in range(len(corners) - 1):
                away, at = distance(np.array([column + 0.5, row + 0.5]), corners[piece], corners[piece + 1])
                edge = np.clip(half + 0.5 - away, 0, 1) * (strengths[piece] * (1 - at) + strengths[piece + 1] * at)
                depths[int(is_dark), row, column] = max(depths[int(is_dark), row, column], edge)
    light, dark = depths[..., None]
    lightened = image * (1 - light) + 240 * light
    return lightened * (1 - dark) + 30 * dark


def test_scratches_are_their_distances():
    step = Scratches(lines=3, specks=4, opacity_percent=90, width_px=1.7, seed=6)
    image = made(24, 31)
    found = scratches(image, step, HERE)
    assert np.abs(found - image).max() > 50
    np.testing.assert_allclose(found, by_pixel(image, step), atol=1e-3)


def test_they_lie_at_the_same_fractions_of_a_larger_picture():
    step = Scratches(lines=1, specks=0, opacity_percent=100, width_px=2, seed=1)
    centres = []
    for side in (200, 400):
        rows, columns = np.nonzero(scratches(np.zeros((side, side, 3), np.float32), step, HERE)[..., 0])
        centres.append((rows.mean() / side, columns.mean() / side))
    np.testing.assert_allclose(centres[0], centres[1], atol=0.01)


def test_no_opacity_changes_nothing_and_the_picture_that_came_is_kept():
    image = made()
    before = image.copy()
    np.testing.assert_array_equal(
        scratches(image, Scratches(lines=9, specks=9, opacity_percent=0, width_px=2, seed=1), HERE), before
    )
    scratches(image, Scratches(lines=9, specks=9, opacity_percent=100, width_px=2, seed=1), HERE)
    np.testing.assert_array_equal(image, before)


def test_most_marks_are_light():
    grey = np.full((400, 400, 3), 128, np.float32)
    found = scratches(grey, Scratches(lines=60, specks=200, opacity_percent=100, width_px=2, seed=3), HERE)
    assert 0.6 < (found > 130).sum() / (np.abs(found - 128) > 2).sum() < 0.95
