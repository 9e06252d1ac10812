"""Whole pictures with too little detail for blobs: the same frame, perhaps mirrored or turned, or nothing.

Every vertical ramp looks like every other, so ramps say nothing: a smooth surface is taken away from both thumbnails, and
what is left must be more than rounding and must be the same.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.imaging.prints import dense, geometry
from components.imaging.prints.layout import Print

SPARSE = 24
"""A picture with fewer blobs is compared as a frame too; its copies may have more, from the blocks of JPEG."""
SHAPE = 0.03
"""Most difference of two ratios of sides."""
ALIKE = 0.98
"""Least correlation of what the smooth surfaces leave."""
LEVELS = 1.0
"""Least standard deviation of that, in grey levels."""

Matrix = npt.NDArray[np.float64]


def same_frame(a: Print, b: Print) -> Matrix | None:
    """Give the (3, 3) transform from the first thumbnail's px to the second's when they show one frame."""
    if min(len(a.codes), len(b.codes)) >= SPARSE:
        return None
    if (a.whole ^ b.whole).bit_count() > geometry.MOST_BITS:
        return None
    index, turns = geometry.turns()
    turn = turns[index[a.whole_position, b.whole_position]]
    across, down = np.abs(turn) @ (a.width, a.height)
    if abs(across * b.height / (down * b.width) - 1) > SHAPE:
        return None
    matrix = _between(a.thumbnail.shape, b.thumbnail.shape, turn)
    one, two = dense.detail(a.thumbnail), dense.detail(dense.laid_over(a.thumbnail, b.thumbnail, matrix[:2])[0])
    one, two = np.nan_to_num(one), np.nan_to_num(two)
    if min(one.std(), two.std()) < LEVELS:
        return None
    return matrix if float(np.corrcoef(one.ravel(), two.ravel())[0, 1]) >= ALIKE else None


def _between(first: tuple[int, ...], second: tuple[int, ...], turn: Matrix) -> Matrix:
    """Bring the centre to the centre and the sides to the sides."""
    sides, others = np.array(first[::-1], float), np.array(second[::-1], float)
    linear = turn * (others[:, None] / sides[None, :])
    return np.vstack([np.column_stack([linear, (others - 1) / 2 - linear @ ((sides - 1) / 2)]), [0, 0, 1]])
