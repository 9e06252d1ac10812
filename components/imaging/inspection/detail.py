"""Sharpness tile by tile."""

from __future__ import annotations

import cv2
import numpy as np

from components.imaging.codec import Image
from components.imaging.inspect_settings import InspectSettings
from components.imaging.inspection.findings import Finding, at_most
from components.imaging.inspection.seen import Seen
from components.imaging.inspection.tiles import Tiles, neighbours, tiled

TILE_PX = 64
FLOOR = 64.0
"""Squared levels of the Laplacian that any tile has: what rounding and faint noise make."""


def sharpness(seen: Seen, limits: InspectSettings) -> Finding | None:
    """Compare a tile's sharpness with its neighbours', in the result and in the reference; a seam or a rough tile stands out.

    Sharpness is the mean square of the Laplacian of luma. A sky beside leaves is less sharp in both pictures; what
    differs between the two ratios was made by the restoration.
    """
    before, after = _energy(seen.reference_luma), _energy(seen.restored_luma)
    if before is None or after is None:
        return None
    floor = max(FLOOR, float(np.quantile(before.means, 0.1)))
    ratios = [(tiles.means + floor) / (neighbours(tiles.means) + floor) for tiles in (before, after)]
    factors = ratios[1] / ratios[0]
    worst = int(np.maximum(factors, 1 / factors).argmax())
    factor = float(factors.flat[worst])
    value = max(factor, 1 / factor)
    word = "sharper or rougher" if factor > 1 else "softer"
    sentence = f"One tile is {value:.1f} times {word} beside those around it than in the {seen.reference_name}."
    return at_most("sharpness", value, limits.sharpness_factor, sentence, after.place(worst, 1))


def _energy(luma_u8: Image) -> Tiles | None:
    laplacian = cv2.Laplacian(luma_u8, cv2.CV_16S, borderType=cv2.BORDER_REFLECT_101)
    return tiled(cv2.multiply(laplacian, laplacian, dtype=cv2.CV_32F), TILE_PX)
