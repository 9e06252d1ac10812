"""Padding a picture to whole multiples, however small it is.

Shapes: B batch, C channels, H W height and width.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def pad_to_multiple(image_BCHW: Tensor, multiple: int) -> Tensor:
    """Pad right and bottom to whole multiples: by reflection as far as the picture reaches, then by repeating edges."""
    height, width = image_BCHW.shape[-2:]
    below, right = -height % multiple, -width % multiple
    mirrored_below, mirrored_right = min(below, height - 1), min(right, width - 1)
    reflected = F.pad(image_BCHW, (0, mirrored_right, 0, mirrored_below), mode="reflect")
    return F.pad(reflected, (0, right - mirrored_right, 0, below - mirrored_below), mode="replicate")
