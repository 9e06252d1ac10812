"""Wavelet colour alignment: detail from one picture, colour and brightness from another.

Shapes: B batch, C channels, H W height and width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 5
"""Dilations 1, 2, 4, 8, 16 (released)."""


def low_frequencies(image_BCHW: Tensor, levels: int = LEVELS) -> Tensor:
    """Smooth with [1, 2, 1] x [1, 2, 1] / 16 at doubling dilation, edges repeated."""
    line = torch.tensor([1.0, 2.0, 1.0], dtype=image_BCHW.dtype, device=image_BCHW.device)
    channels = image_BCHW.shape[1]
    kernel = (torch.outer(line, line) / 16).expand(channels, 1, 3, 3)
    smooth = image_BCHW
    for level in range(levels):
        dilation = 2**level
        padded = F.pad(smooth, (dilation,) * 4, mode="replicate")
        smooth = F.conv2d(padded, kernel, groups=channels, dilation=dilation)
    return smooth


def align(content_BCHW: Tensor, style_BCHW: Tensor) -> Tensor:
    """Content - low(content) + low(style); not clamped.

    Raises:
        ValueError: the pictures differ in shape.
    """
    if content_BCHW.shape != style_BCHW.shape:
        raise ValueError(
            f"Colour alignment needs two pictures of one shape; got {list(content_BCHW.shape)} and {list(style_BCHW.shape)}."
        )
    return content_BCHW - low_frequencies(content_BCHW) + low_frequencies(style_BCHW)
