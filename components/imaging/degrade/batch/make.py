"""A batch of pairs on a device.

A pixel of the processor's path that lies within 1e-4 of the middle between two levels may be rounded to the other one; a few in
a million are. Where JPEG follows, a coefficient of its block may then fall into the next step. That is all that differs: LQ by
some 0.002 grey levels in the mean, and by 0.44 in the worst of 600 crops of 128 px, where one such block had been enlarged.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from components.errors import SettingsError
from components.imaging.degrade.batch.carrier import to_image, to_pixels
from components.imaging.degrade.batch.filter import sharpen
from components.imaging.degrade.batch.operators import carry_out
from components.imaging.degrade.carrier import Image
from components.imaging.degrade.recipe import Recipe, cut

HQ_MOST_U8 = 1
"""Tolerance: largest difference between HQ and that of `recipe.apply`, grey levels."""
LQ_MEAN_U8 = 1.0
"""Tolerance: mean absolute difference between an LQ and that of `recipe.apply`, grey levels, for crops of 128 px and more."""
LQ_PSNR_DB = 42.0
"""Tolerance: PSNR between the two, for the same crops."""


@torch.no_grad()
def apply_batch(hq: Sequence[Image], recipes: Sequence[Recipe], device: torch.device) -> tuple[Tensor, Tensor]:
    """Make pairs on a device; each depends on its own recipe and picture alone, not on the others in the batch.

    Args:
        hq: (H, W, 3) uint8 RGB each, whole pictures of any size.
        recipes: what to do to each, all with one crop side.
        device: where the pixels are made and stay.

    Returns:
        (hq_u8_BCHW, lq_u8_BCHW), uint8 on the device.

    Raises:
        SettingsError: as `recipe.apply`; or the pairs are of several sizes, or there is none.
    """
    crops = [cut(image_u8, recipe) for image_u8, recipe in zip(hq, recipes, strict=True)]
    if len(sizes := {crop_u8.shape[:2] for crop_u8 in crops}) != 1:
        found = ", ".join(f"{width}x{height} px" for height, width in sorted(sizes)) or "none"
        raise SettingsError(f"Expected pairs of one size for a batch, got {found}. Draw all recipes with one crop_px.")
    pairs = [_pair(crop_u8, recipe, device) for crop_u8, recipe in zip(crops, recipes, strict=True)]
    hq_u8_BCHW, lq_u8_BCHW = (torch.stack(side) for side in zip(*pairs, strict=True))
    return hq_u8_BCHW, lq_u8_BCHW


def _pair(crop_u8: Image, recipe: Recipe, device: torch.device) -> tuple[Tensor, Tensor]:
    """HQ and LQ of one crop, (C, H, W) uint8."""
    pixels_CHW = to_pixels(crop_u8, device)
    if recipe.sharpen:
        pixels_CHW = to_image(sharpen(pixels_CHW)).float()
    hq_u8_CHW = pixels_CHW.to(torch.uint8)
    for step in recipe.steps:
        pixels_CHW = carry_out(pixels_CHW, step, (crop_u8.shape[0], crop_u8.shape[1]))
    return hq_u8_CHW, to_image(pixels_CHW)
