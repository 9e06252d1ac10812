"""Before/after pictures side by side, as one image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.imaging import codec

GAP_PX = 6
WHITE = 255


def contact_sheet(rows: Sequence[Sequence[codec.Image]]) -> codec.Image:
    """Put pictures on a white sheet, one row per photo, columns aligned at the top left.

    Args:
        rows: (H, W, 3) uint8 pictures; every row has as many as the first.

    Returns:
        (H, W, 3) uint8.
    """
    widths = [max(row[column].shape[1] for row in rows) for column in range(len(rows[0]))]
    heights = [max(image_u8.shape[0] for image_u8 in row) for row in rows]
    height = sum(heights) + GAP_PX * (len(rows) + 1)
    width = sum(widths) + GAP_PX * (len(widths) + 1)
    sheet = np.full((height, width, 3), WHITE, dtype=np.uint8)
    top = GAP_PX
    for row, row_height in zip(rows, heights, strict=True):
        left = GAP_PX
        for image_u8, column_width in zip(row, widths, strict=True):
            sheet[top : top + image_u8.shape[0], left : left + image_u8.shape[1]] = image_u8
            left += column_width + GAP_PX
        top += row_height + GAP_PX
    return sheet
