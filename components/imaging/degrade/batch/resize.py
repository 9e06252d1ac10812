"""Resampling on a device, on the grids of OpenCV's `resize`.

Along each axis every new pixel is a sum of a few old ones. Places, weights and sums are float64; with factor f, s = 1 / f:

    bilinear, bicubic  centres of pixels meet, at (x + 1/2) s - 1/2; cubic with a = -0.75
    area               what the new pixel covers, by exact shares
    area, enlarging    the old pixel that it lies in; across an edge of two old ones, both by their shares

Shapes: T old pixels behind each of N new ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from components.imaging.degrade.resize import Fit, Rescale, Resize

CUBIC = -0.75
SLIVER = 1e-3
"""Old pixels; OpenCV leaves out a share of a pixel that is not larger, at either side."""

Taps = tuple[Tensor, Tensor]
"""Places (T, N) int64, which may lie outside and then mean the border pixel, and weights (T, N) float64."""


def resample(image_CHW: Tensor, new_px: tuple[int, int], factors: tuple[float, float], mode: str) -> Tensor:
    """Resample both axes, without a further antialias filter.

    Args:
        image_CHW: float32.
        new_px: (height, width).
        factors: distance of two old pixels in new ones, for height and width.
        mode: area, bilinear or bicubic.
    """
    taps = _TAPS["enlarged" if mode == "area" and max(factors) > 1 else mode]
    image_CHW = _along(image_CHW.double(), 2, taps(image_CHW.shape[2], new_px[1], factors[1], image_CHW.device))
    image_CHW = _along(image_CHW, 1, taps(image_CHW.shape[1], new_px[0], factors[0], image_CHW.device))
    return image_CHW.float()


def _along(image_CHW: Tensor, axis: int, taps: Taps) -> Tensor:
    places_TN, weights_TN = taps[0].clamp(0, image_CHW.shape[axis] - 1), taps[1]
    shape = (-1, 1) if axis == 1 else (1, -1)
    result = image_CHW.index_select(axis, places_TN[0]) * weights_TN[0].view(shape)
    for places_N, weights_N in zip(places_TN[1:], weights_TN[1:], strict=True):
        result += image_CHW.index_select(axis, places_N) * weights_N.view(shape)
    return result


def _centres(new: int, factor: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Place of each new centre among the old ones: the last one before it and the way from there, in [0, 1)."""
    at_N = (torch.arange(new, device=device, dtype=torch.float64) + 0.5) * (1 / factor) - 0.5
    return at_N.floor().long(), at_N - at_N.floor()


def _bilinear(old: int, new: int, factor: float, device: torch.device) -> Taps:
    del old
    first_N, way_N = _centres(new, factor, device)
    return torch.stack([first_N, first_N + 1]), torch.stack([1 - way_N, way_N])


def _bicubic(old: int, new: int, factor: float, device: torch.device) -> Taps:
    del old
    first_N, way_N = _centres(new, factor, device)

    def near(x: Tensor) -> Tensor:
        return ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((CUBIC * x - 5 * CUBIC) * x + 8 * CUBIC) * x - 4 * CUBIC

    weights = [far(way_N + 1), near(way_N), near(1 - way_N), far(2 - way_N)]
    return torch.stack([first_N + step for step in (-1, 0, 1, 2)]), torch.stack(weights)


def _area(old: int, new: int, factor: float, device: torch.device) -> Taps:
    old_per_new = 1 / factor
    begin_N = torch.arange(new, device=device, dtype=torch.float64) * old_per_new
    end_N, covered_N = begin_N + old_per_new, (old - begin_N).clamp(max=old_per_new)
    last_N = end_N.floor().clamp(max=old - 1)
    whole_N = torch.minimum(begin_N.ceil(), last_N)
    before_N, after_N = whole_N - begin_N, torch.minimum((end_N - last_N).clamp(max=1), covered_N)
    places_TN = whole_N - 1 + torch.arange(math.ceil(old_per_new) + 2, device=device)[:, None]
    shares_TN = ((places_TN >= whole_N) & (places_TN < last_N)).double()
    shares_TN = torch.where(places_TN == whole_N - 1, before_N * (before_N > SLIVER), shares_TN)
    shares_TN = torch.where(places_TN == last_N, after_N * (after_N > SLIVER), shares_TN)
    return places_TN.long(), shares_TN / covered_N


def _enlarged(old: int, new: int, factor: float, device: torch.device) -> Taps:
    del old
    new_N = torch.arange(new, device=device, dtype=torch.float64)
    first_N = (new_N * (1 / factor)).floor()
    # in float32 as in OpenCV: just below 1 must become 1, which means none of the next pixel, not all of it
    way_N = ((new_N + 1) - (first_N + 1) * factor).float().clamp(min=0)
    way_N = (way_N - way_N.floor()).double()
    return torch.stack([first_N, first_N + 1]).long(), torch.stack([1 - way_N, way_N])


_TAPS: Mapping[str, Callable[[int, int, float, torch.device], Taps]] = {
    "bilinear": _bilinear,
    "bicubic": _bicubic,
    "area": _area,
    "enlarged": _enlarged,
}
"""Mode -> (old side, new side, factor, device) -> places and weights."""


def _to_size(image_CHW: Tensor, new_px: tuple[int, int], mode: str) -> Tensor:
    height, width = image_CHW.shape[1:]
    return resample(image_CHW, new_px, (new_px[0] / height, new_px[1] / width), mode)


def rescale(image_CHW: Tensor, step: Rescale, size_px: tuple[int, int]) -> Tensor:
    """Resample by a factor.

    Args:
        image_CHW: float32, 0..255.
        step: factor and mode.
        size_px: not used.
    """
    sides = image_CHW.shape[1:]
    if min(sides) * step.factor < 1:
        return resize(image_CHW, Resize(scale=step.factor, mode=step.mode), size_px)
    height, width = (max(1, math.floor(side * step.factor)) for side in sides)
    if all(round(side * step.factor) == side for side in sides):
        # OpenCV rounds the sides to the nearest and copies where they stay
        return image_CHW[:, :height, :width]
    return resample(image_CHW, (height, width), (step.factor, step.factor), step.mode)


def fit(image_CHW: Tensor, step: Fit, size_px: tuple[int, int]) -> Tensor:
    """Resample to a part of the HQ crop's size.

    Args:
        image_CHW: float32, 0..255.
        step: part and mode.
        size_px: (height, width) of the HQ crop.
    """
    height, width = (max(1, int(side * step.part)) for side in size_px)
    return _to_size(image_CHW, (height, width), step.mode)


def resize(image_CHW: Tensor, step: Resize, size_px: tuple[int, int]) -> Tensor:
    """Resample by a factor to whole pixels, or to the size of the HQ crop.

    Args:
        image_CHW: float32, 0..255.
        step: scale and mode.
        size_px: (height, width) of the HQ crop.
    """
    height, width = image_CHW.shape[1:]
    if step.scale is not None:
        size_px = (max(1, round(height * step.scale)), max(1, round(width * step.scale)))
    return image_CHW if size_px == (height, width) else _to_size(image_CHW, size_px, step.mode)
