"""Pictures of which is known what they share: cuts and mosaics of photos, and drawings that share nothing.

Each picture comes with its pieces. Drawings have none; those with one letterhead, frame or watermark have that in common
and are still different pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]
Generator = np.random.Generator


class Piece(NamedTuple):
    """A rectangle of a photo that is seen in a picture."""

    photo: str
    box: tuple[int, int, int, int]
    """left, top, right, bottom, px of the photo."""
    share: float
    """Part of the picture's area that it takes."""


Pieces = tuple[Piece, ...]


def shared(first: Pieces, second: Pieces) -> float:
    """Most that one of two pictures has of the other, as a part of its own area."""
    return max(_seen(first, second), _seen(second, first))


def _seen(pieces: Pieces, others: Pieces) -> float:
    total = 0.0
    for piece in pieces:
        left, top, right, bottom = piece.box
        for other in others:
            if other.photo == piece.photo:
                across = min(right, other.box[2]) - max(left, other.box[0])
                down = min(bottom, other.box[3]) - max(top, other.box[1])
                total += piece.share * max(0, across) * max(0, down) / ((right - left) * (bottom - top))
    return total


def pictures(photos: dict[str, Luma], count: int, first: int = 0) -> Iterator[tuple[str, Luma, Pieces]]:
    """Make pictures of every kind in turn, (kind, luma, pieces); without photos no cuts and mosaics."""
    kinds = list(DRAWINGS.items())
    for number in range(first, first + count):
        generator = np.random.default_rng(number)
        if photos and number % 2 == 0:
            kind, (luma_u8, pieces) = (
                ("mosaic", mosaic(photos, generator)) if number % 10 == 0 else ("cut", cut(photos, generator))
            )
            yield kind, luma_u8, pieces
        else:
            kind, draw = kinds[number // 2 % len(kinds)]
            yield kind, draw(generator), ()


def cut(photos: dict[str, Luma], generator: Generator) -> tuple[Luma, Pieces]:
    """A window of a photo, a quarter to three quarters of its sides, in a size of its own, half of them mirrored."""
    name = sorted(photos)[generator.integers(len(photos))]
    photo = photos[name]
    height, width = (max(32, int(side * generator.uniform(0.25, 0.75))) for side in photo.shape)
    top, left = (int(generator.integers(0, side - used + 1)) for side, used in zip(photo.shape, (height, width), strict=True))
    scale = generator.uniform(300, 600) / max(height, width)
    window = photo[top : top + height, left : left + width]
    size = max(16, round(width * scale)), max(16, round(height * scale))
    luma_u8 = cv2.resize(window, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    if generator.random() < 0.5:
        luma_u8 = luma_u8[:, ::-1]
    return np.ascontiguousarray(luma_u8), (Piece(name, (left, top, left + width, top + height), 1.0),)


def mosaic(photos: dict[str, Luma], generator: Generator) -> tuple[Luma, Pieces]:
    """Four or nine windows of photos side by side."""
    side = int(generator.integers(2, 4))
    rows, pieces = [], []
    for _ in range(side):
        row = []
        for _ in range(side):
            luma_u8, (piece,) = cut(photos, generator)
            row.append(cv2.resize(luma_u8, (480 // side, 480 // side), interpolation=cv2.INTER_AREA))
            pieces.append(piece._replace(share=1 / side**2))
        rows.append(np.hstack(row))
    return np.vstack(rows), tuple(pieces)


def _noise(generator: Generator, slope: float, side: int = 384) -> npt.NDArray[np.float64]:
    """Random phases under a power law, 0..1."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = 1
    waves = generator.normal(size=frequency.shape) + 1j * generator.normal(size=frequency.shape)
    plane = np.fft.irfft2(waves * frequency**-slope, (side, side))
    return np.asarray((plane - plane.min()) / np.ptp(plane))


def _u8(plane: npt.NDArray[np.float64]) -> Luma:
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)


def clouds(generator: Generator) -> Luma:
    """Fractal noise, from rough to smooth."""
    return _u8(255 * _noise(generator, generator.uniform(0.5, 2.5)))


def sky(generator: Generator) -> Luma:
    """A ramp with the noise of a sensor, as JPEG leaves it."""
    y, x = np.mgrid[0:1:384j, 0:1:512j]
    plane = generator.uniform(60, 200) + generator.uniform(-60, 60) * y + generator.uniform(-15, 15) * x
    noisy = _u8(plane + generator.normal(0, generator.uniform(0, 3), plane.shape))
    quality = int(generator.integers(40, 95))
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE))


def tiles(generator: Generator) -> Luma:
    """One random motif, repeated."""
    cells = int(generator.integers(3, 9))
    motif = generator.integers(0, 256, (cells, cells), dtype=np.uint8)
    motif = cv2.resize(motif, None, fx=8, fy=8, interpolation=int(generator.choice([cv2.INTER_NEAREST, cv2.INTER_CUBIC])))
    return np.tile(motif, (10, 10))[:384, :512]


def bricks(generator: Generator) -> Luma:
    """A wall in courses, each brick of a grey of its own."""
    wide, high = int(generator.integers(30, 70)), int(generator.integers(14, 30))
    luma_u8 = np.full((400, 520), 90, np.uint8)
    for row, top in enumerate(range(0, 400, high)):
        for left in range(-(row % 2) * wide // 2, 520, wide):
            grey = int(generator.normal(150, 15))
            cv2.rectangle(luma_u8, (left + 2, top + 2), (left + wide - 2, top + high - 2), grey, -1)
    return luma_u8


def stripes(generator: Generator) -> Luma:
    """A grating in a random direction, a little bent."""
    y, x = np.mgrid[0:384, 0:384]
    angle, period = generator.uniform(0, np.pi), generator.uniform(8, 80)
    bent = 8 * _noise(generator, 2.5)
    return _u8(128 + 100 * np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + bent))


def words(generator: Generator, count: int) -> list[str]:
    """Random words."""
    letters = list("aeioutnrslcdmhpgbf")
    return ["".join(generator.choice(letters, generator.integers(2, 9))) for _ in range(count)]


def _write(luma_u8: Luma, generator: Generator, top: int) -> None:
    """Fill a page with lines of words."""
    for y in range(top, luma_u8.shape[0] - 10, 18):
        cv2.putText(luma_u8, " ".join(words(generator, 8)), (30, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 20, 1, cv2.LINE_AA)


def page(generator: Generator) -> Luma:
    """A page of text, all in one layout."""
    luma_u8 = np.full((640, 460), 245, np.uint8)
    _write(luma_u8, generator, 40)
    return luma_u8


def letter(generator: Generator) -> Luma:
    """A page of text under a letterhead that all letters have."""
    luma_u8 = np.full((640, 460), 245, np.uint8)
    cv2.rectangle(luma_u8, (0, 0), (460, 90), 60, -1)
    cv2.putText(luma_u8, "ACME & SONS", (40, 60), cv2.FONT_HERSHEY_TRIPLEX, 1.3, 240, 2, cv2.LINE_AA)
    cv2.circle(luma_u8, (400, 45), 30, 180, 5)
    _write(luma_u8, generator, 130)
    return luma_u8


def chart(generator: Generator) -> Luma:
    """A curve between axes that all charts have."""
    luma_u8 = np.full((384, 512), 255, np.uint8)
    for step in range(9):
        cv2.putText(luma_u8, str(10 * step), (8, 350 - 38 * step), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 0, 1, cv2.LINE_AA)
        cv2.line(luma_u8, (40, 345 - 38 * step), (500, 345 - 38 * step), 210, 1)
    points = np.stack([np.linspace(40, 500, 60), 340 - 300 * _noise(generator, 1.5, 60)[0]], axis=1)
    cv2.polylines(luma_u8, [points.astype(np.int32)], isClosed=False, color=0, thickness=2, lineType=cv2.LINE_AA)
    return luma_u8


def shapes(generator: Generator) -> Luma:
    """Discs and rectangles of random greys, one over the other."""
    luma_u8 = np.full((384, 512), int(generator.integers(256)), np.uint8)
    for _ in range(generator.integers(3, 60)):
        x, y, a, b = (int(value) for value in generator.integers(0, (512, 384, 90, 90)))
        if generator.random() < 0.5:
            cv2.circle(luma_u8, (x, y), a // 2 + 3, int(generator.integers(256)), -1, cv2.LINE_AA)
        else:
            cv2.rectangle(luma_u8, (x, y), (x + a, y + b), int(generator.integers(256)), -1)
    return luma_u8


def cells(generator: Generator) -> Luma:
    """Voronoi cells of random greys."""
    points = generator.uniform(0, (512, 384), (int(generator.integers(20, 120)), 2)).astype(np.float32)
    y, x = np.mgrid[0:384, 0:512].astype(np.float32)
    nearest = ((x[..., None] - points[:, 0]) ** 2 + (y[..., None] - points[:, 1]) ** 2).argmin(axis=2)
    return np.asarray(generator.integers(0, 256, len(points), dtype=np.uint8)[nearest])


def squares(generator: Generator) -> Luma:
    """A grid of black and white squares, as of a two-dimensional code."""
    grid = generator.integers(0, 2, (29, 29), dtype=np.uint8) * 255
    for top, left in ((0, 0), (0, 22), (22, 0)):
        grid[top : top + 7, left : left + 7] = 0
        grid[top + 1 : top + 6, left + 1 : left + 6] = 255
        grid[top + 2 : top + 5, left + 2 : left + 5] = 0
    return cv2.copyMakeBorder(np.kron(grid, np.ones((12, 12), np.uint8)), 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=255)


def stars(generator: Generator) -> Luma:
    """Points of light on black."""
    luma_u8 = np.zeros((384, 512), np.uint8)
    for _ in range(generator.integers(40, 400)):
        x, y = (int(value) for value in generator.integers(0, (512, 384)))
        cv2.circle(luma_u8, (x, y), int(generator.integers(0, 3)), int(generator.integers(80, 256)), -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(luma_u8, (0, 0), 0.8))


def letterboxed(generator: Generator) -> Luma:
    """Black bars that all have, around something of its own."""
    luma_u8 = np.zeros((512, 512), np.uint8)
    luma_u8[112:400] = cv2.resize(clouds(generator), (512, 288))
    return luma_u8


def watermarked(generator: Generator) -> Luma:
    """One watermark, over and over, on something of its own."""
    luma_u8 = cv2.resize(clouds(generator), (512, 384))
    for y in range(60, 384, 80):
        for x in range(10, 512, 170):
            cv2.putText(luma_u8, "SAMPLE", (x, y), cv2.FONT_HERSHEY_DUPLEX, 1.0, 255, 2, cv2.LINE_AA)
    return luma_u8


def marked_sky(generator: Generator) -> Luma:
    """One watermark on a sky with nothing but haze."""
    haze = cv2.resize(30 * _noise(generator, 2.5), (512, 384))
    luma_u8 = np.asarray(cv2.add(sky(generator), _u8(haze)))
    cv2.putText(luma_u8, "PHOTO AGENCY 2024", (250, 370), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2, cv2.LINE_AA)
    return luma_u8


def blank(generator: Generator) -> Luma:
    """One grey level."""
    return np.full((300, 400), int(generator.integers(256)), np.uint8)


DRAWINGS: dict[str, Callable[[Generator], Luma]] = {
    draw.__name__: draw
    for draw in (
        clouds, sky, tiles, bricks, stripes, page, letter, chart, shapes, cells, squares, stars, letterboxed, watermarked,
        marked_sky, blank,
    )
}  # fmt: skip
