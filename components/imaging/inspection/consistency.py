"""Is it still the picture that came in: LR-consistency without knowing the degradation.

A metric would degrade the result again as its LQ was and compare; here nobody knows how the LQ was degraded. But blur,
noise, compression and shrinking leave averages over an area as they are, if only the area is larger than they reach. So
both pictures are averaged (area, not Gaussian: no weight leaves the cell) over 16 px, and over 4 px where tiles of one
picture are compared with one another and what the degradation does to all of them cancels.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from components.imaging.inspect_settings import InspectSettings
from components.imaging.inspection.findings import Finding, at_most
from components.imaging.inspection.seen import CELL_PX, Plane, Seen, averages
from components.imaging.inspection.tiles import neighbours, tiled

TILE_CELLS = 4
FINE_PX = 4
FINE_TILE = 8
"""32 px in averages of 4 px."""
FLOOR = 32.0
"""Squared levels that any tile may differ by."""
SHIFT_PX = 8
ERRORS = 3.0
"""Standard errors that are taken off a displacement."""


def consistency(seen: Seen, limits: InspectSettings) -> Finding:
    """Compare averages over 16 px in every 64 px; a tile of another place, a dark or a blown one stands out."""
    squares = np.square(seen.lq_cells - seen.restored_cells).mean(axis=-1)
    rows, columns = squares.shape
    side = (min(TILE_CELLS, columns), min(TILE_CELLS, rows))
    local = cv2.boxFilter(squares, -1, side, anchor=(0, 0), borderType=cv2.BORDER_REFLECT)
    local = local[: rows - side[1] + 1, : columns - side[0] + 1]
    worst = int(local.argmax())
    top, left = divmod(worst, local.shape[1])
    value = float(np.sqrt(local.flat[worst]))
    sentence = f"The worst tile differs from the LQ by {value:.1f} levels (RMS of averages over {CELL_PX} px)."
    return at_most(
        "consistency",
        value,
        limits.consistency_u8,
        sentence,
        (top * CELL_PX, left * CELL_PX, side[1] * CELL_PX, side[0] * CELL_PX),
    )


def structure(seen: Seen, limits: InspectSettings) -> Finding | None:
    """Compare a tile's difference from the reference with its neighbours': lost or foreign content stands out."""
    reference, restored = (averages(one, FINE_PX) for one in (seen.reference_luma, seen.restored_luma))
    tiles = tiled(np.square(reference - restored), FINE_TILE)
    if tiles is None:
        return None
    factors = (tiles.means + FLOOR) / (neighbours(tiles.means) + FLOOR)
    worst = int(factors.argmax())
    value = float(factors.flat[worst])
    sentence = f"One tile differs from the {seen.reference_name} {value:.1f} times as much as those around it."
    return at_most("structure", value, limits.structure_factor, sentence, tiles.place(worst, FINE_PX))


def shift(seen: Seen, limits: InspectSettings) -> Finding | None:
    """Find the displacement that explains the difference from the LQ best (Lucas and Kanade 1981), minus its error."""
    before, after = (averages(one, SHIFT_PX) for one in (seen.lq_luma, seen.restored_luma))
    if min(before.shape) < 8:
        return None
    moved_px, error_px = (SHIFT_PX * value for value in _displacement(before, after))
    value = max(0.0, moved_px - ERRORS * error_px)
    sentence = f"The content moved by {moved_px:.1f} px, give or take {error_px:.1f} px."
    return at_most("shift", value, limits.shift_px, sentence)


def _displacement(before: Plane, after: Plane) -> tuple[float, float]:
    """Length of the displacement and its standard error along it, in cells."""
    inner = np.s_[1:-1, 1:-1]
    slopes = np.stack([np.asarray(slope)[inner].ravel() for slope in np.gradient(after.astype(np.float64))])
    difference = (before - after)[inner].ravel().astype(np.float64)
    difference -= difference.mean()
    information = slopes @ slopes.T + 1e-6 * np.eye(2)
    found: npt.NDArray[np.float64] = np.linalg.solve(information, slopes @ difference)
    length = float(np.linalg.norm(found))
    if length == 0:
        return 0.0, 0.0
    left = difference - found @ slopes
    covariance = float(left @ left) / max(1, left.size - 3) * np.linalg.inv(information)
    along = found / length
    return length, float(np.sqrt(along @ covariance @ along))
