"""Pictures for the pre-training of the miniature: random crops of photos, and dead leaves.

Photos are kept in memory at a few sizes, so that a crop shows a scene from near and from far; the smaller ones are
area-averaged, hence clean. Dead leaves (Lee, Mumford and Huang 2001: opaque discs whose radii follow r ** -3) have the
scale statistics of photos and sharp edges that no JPEG has touched.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.errors import DecodeError, SourceError
from components.imaging import codec

Image = NDArray[np.uint8]

SHORT_SIDES_PX = (1100, 640, 400)
"""Short sides at which each photo is kept, when it is at least 1.5 times as large (the first also as it is)."""
LEAF_RADII_PX = (2.0, 60.0)
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"}

log = logging.getLogger(__name__)


@dataclass
class CropPool:
    """Draws square crops; one seed gives one sequence."""

    photos: list[Image]
    leaves: list[Image]
    leaf_share: float = 0.15
    """Part of the crops that show dead leaves; the rest are photos."""
    weights: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        area = np.array([photo.shape[0] * photo.shape[1] for photo in self.photos], dtype=np.float64)
        self.weights = np.sqrt(area) / np.sqrt(area).sum()

    def crop(self, rng: np.random.Generator, side_px: int) -> Image:
        """One random crop (side, side, 3), flipped and turned at random."""
        if self.leaves and rng.random() < self.leaf_share:
            picture = self.leaves[int(rng.integers(len(self.leaves)))]
        else:
            picture = self.photos[int(rng.choice(len(self.photos), p=self.weights))]
        top = int(rng.integers(picture.shape[0] - side_px + 1))
        left = int(rng.integers(picture.shape[1] - side_px + 1))
        crop = np.rot90(picture[top : top + side_px, left : left + side_px], int(rng.integers(4)))
        return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)

    def batch(self, rng: np.random.Generator, size: int, side_px: int) -> Image:
        """Stack of crops (size, side, side, 3)."""
        return np.stack([self.crop(rng, side_px) for _ in range(size)])


def load_pool(directories: Sequence[Path], *, exclude: Sequence[str], seed: int, leaves: int = 40) -> CropPool:
    """Read every photo of the directories whose name does not start with an excluded prefix.

    Args:
        directories: folders of pictures; not searched deeper.
        exclude: beginnings of file names to leave out.
        seed: of the dead leaves.
        leaves: number of dead-leaves pictures.

    Raises:
        SourceError: no picture was left.
    """
    photos: list[Image] = []
    for path in sorted(p for d in directories for p in d.iterdir() if p.suffix.lower() in SUFFIXES):
        if any(path.name.startswith(prefix) for prefix in exclude):
            continue
        try:
            photos.extend(sizes_of(codec.decode(path.read_bytes()).image_u8))
        except DecodeError as error:
            log.warning("left out %s: %s", path.name, error)
    if not photos:
        raise SourceError(
            f"Expected photos in {', '.join(map(str, directories))}, found none; pass --photos with a folder of pictures."
        )
    rng = np.random.default_rng(seed)
    return CropPool(photos, [dead_leaves(rng, 320, photos[int(rng.integers(len(photos)))]) for _ in range(leaves)])


def sizes_of(image_u8: Image) -> list[Image]:
    """The photo at each size of SHORT_SIDES_PX that it can be averaged down to; itself when none."""
    short = min(image_u8.shape[:2])
    factors = sorted({int(short // side) for side in SHORT_SIDES_PX} - {0, 1})
    kept = [box_down(image_u8, factor) for factor in factors]
    if short < 1.5 * SHORT_SIDES_PX[0]:
        kept.append(image_u8)
    return [image for image in kept if min(image.shape[:2]) >= 200]


def box_down(image_u8: Image, factor: int) -> Image:
    """Average factor x factor pixels."""
    height, width = (side // factor * factor for side in image_u8.shape[:2])
    blocks = image_u8[:height, :width].reshape(height // factor, factor, width // factor, factor, 3)
    mean: NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return np.rint(mean).astype(np.uint8)


def dead_leaves(rng: np.random.Generator, side_px: int, palette_u8: Image) -> Image:
    """One picture of opaque, slightly shaded discs, antialiased by drawing at twice the size.

    Args:
        rng: random numbers.
        side_px: side of the picture.
        palette_u8: photo whose pixels give the colours.
    """
    side = 2 * side_px
    canvas = np.zeros((side, side, 3), dtype=np.float32)
    covered = np.zeros((side, side), dtype=bool)
    flat = palette_u8.reshape(-1, 3)
    low, high = (2 * radius for radius in LEAF_RADII_PX)
    for _ in range(6000):
        # inverse of the cumulative r ** -3 between the radii
        radius = 1 / np.sqrt(1 / low**2 - rng.random() * (1 / low**2 - 1 / high**2))
        y, x = rng.random(2) * side
        top, left = max(int(y - radius), 0), max(int(x - radius), 0)
        window = np.s_[top : int(y + radius) + 2, left : int(x + radius) + 2]
        free = ~covered[window]
        if not free.any():
            continue
        rows = np.arange(top, top + free.shape[0], dtype=np.float32)[:, None] - y
        columns = np.arange(left, left + free.shape[1], dtype=np.float32)[None] - x
        disc = free & (rows**2 + columns**2 <= radius**2)
        slope = rng.normal(size=2) * 12 / radius
        shade = slope[0] * rows + slope[1] * columns + rng.normal(size=free.shape) * rng.choice([0.0, 0.0, 6.0])
        colour = flat[int(rng.integers(len(flat)))].astype(np.float32)
        canvas[window][disc] = colour + shade[disc][:, None].astype(np.float32)
        covered[window] |= disc
    canvas[~covered] = flat.mean(0)
    return box_down(np.clip(canvas, 0, 255).astype(np.uint8), 2)
