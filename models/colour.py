"""Colour alignment: detail from one picture, colour and brightness from another.

Shapes: B batch, C channels, H W height and width.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

Alignment = Literal["wavelet", "wavelet_lq", "adain", "none"]
"""`wavelet`: low frequencies from the LRP (released; report: as DreamClear); `wavelet_lq`: from the LQ, as
StableSR takes it; `adain`: mean and deviation of each channel from the LRP; `none`: as decoded."""
LEVELS = 5
"""Dilations 1, 2, 4, 8, 16 (released)."""
REACH = 2**LEVELS - 1
"""Rows beyond its own that a smoothed row sees."""
STRIP_ROWS = 512
"""Rows aligned at once; bounds the memory, changes no value."""


def low_frequencies(image_BCHW: Tensor, levels: int = LEVELS) -> Tensor:
    """Smooth with [1, 2, 1] x [1, 2, 1] / 16 at doubling dilation, edges repeated."""
    smooth = image_BCHW
    for level in range(levels):
        dilation = 2**level
        for vertical in (True, False):
            smooth = _smooth_line(smooth, dilation, vertical=vertical)
    return smooth


def _smooth_line(image_BCHW: Tensor, dilation: int, *, vertical: bool) -> Tensor:
    """[1, 2, 1] / 4 along one side."""
    axis = -2 if vertical else -1
    length = image_BCHW.shape[axis]
    padded = F.pad(image_BCHW, (0, 0, dilation, dilation) if vertical else (dilation, dilation, 0, 0), mode="replicate")
    smooth = image_BCHW * 0.5
    smooth.add_(padded.narrow(axis, 0, length), alpha=0.25)
    return smooth.add_(padded.narrow(axis, 2 * dilation, length), alpha=0.25)


def align(content_BCHW: Tensor, style_BCHW: Tensor) -> Tensor:
    """Content - low(content) + low(style); not clamped.

    Raises:
        ValueError: the pictures differ in shape.
    """
    _check(content_BCHW, style_BCHW)
    result, height = content_BCHW.clone(), content_BCHW.shape[-2]
    for top in range(0, height, STRIP_ROWS):
        first, last = max(0, top - REACH), min(height, top + STRIP_ROWS + REACH)
        low = low_frequencies(style_BCHW[..., first:last, :] - content_BCHW[..., first:last, :])
        strip = result[..., top : top + STRIP_ROWS, :]
        strip += low[..., top - first : top - first + strip.shape[-2], :]
    return result


def adain(content_BCHW: Tensor, style_BCHW: Tensor) -> Tensor:
    """Shift and scale each channel to the other picture's mean and deviation (Huang and Belongie 2017); not clamped.

    Raises:
        ValueError: the pictures differ in shape.
    """
    _check(content_BCHW, style_BCHW)
    mean, wanted = content_BCHW.mean((-2, -1), keepdim=True), style_BCHW.mean((-2, -1), keepdim=True)
    spread, wanted_spread = (image.std((-2, -1), keepdim=True, correction=0) for image in (content_BCHW, style_BCHW))
    return (content_BCHW - mean) * (wanted_spread / spread.clamp_min(1e-5)) + wanted


def aligned(kind: Alignment, content_BCHW: Tensor, *, lrp_BCHW: Tensor, lq_BCHW: Tensor) -> Tensor:
    """Apply the alignment that a sampler names."""
    if kind == "none":
        return content_BCHW
    if kind == "adain":
        return adain(content_BCHW, lrp_BCHW)
    return align(content_BCHW, lrp_BCHW if kind == "wavelet" else lq_BCHW)


def _check(content_BCHW: Tensor, style_BCHW: Tensor) -> None:
    if content_BCHW.shape != style_BCHW.shape:
        raise ValueError(
            f"Colour alignment needs two pictures of one shape; got {list(content_BCHW.shape)} and {list(style_BCHW.shape)}."
        )
