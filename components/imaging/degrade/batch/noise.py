"""Gaussian and Poisson noise on a device, from the same random numbers as on the processor.

The numbers come from numpy's counter-based generator on the processor and are uploaded: its normal numbers are made by a
ziggurat, which takes one more raw number now and then and so cannot be made in parallel. Counts of the Poisson noise are looked
up on the device, in integers, in the same tables.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from components.imaging.degrade import shot
from components.imaging.degrade.batch.carrier import to_image, upload, upload_picture
from components.imaging.degrade.noise import GreyNoise, Noise

POWERS = 9
"""Of two, 1 to 256: what the number of different levels is rounded up to."""
_BITS = 32
"""Of one random number."""
_GREY = (9798, 19235, 3735)
"""Rec. 601 luma of R, G and B in 2^-15, as OpenCV's 8-bit grey takes it."""
_GREY_BITS = 15


def noise(image_CHW: Tensor, step: Noise | GreyNoise, size_px: tuple[int, int]) -> Tensor:
    """Add the processor's field and clip to 0..255.

    Args:
        image_CHW: float32, 0..255.
        step: sigma and seed.
        size_px: not used.
    """
    del size_px
    generator = np.random.Generator(np.random.Philox(key=step.seed))
    channels = 3 if step.kind == "noise" else 1
    field = generator.standard_normal((*image_CHW.shape[1:], channels), dtype=np.float32)
    return (image_CHW + upload_picture(field, image_CHW.device) * step.sigma_u8).clamp(0, 255)


def poisson(image_CHW: Tensor, step: shot.Poisson, size_px: tuple[int, int]) -> Tensor:
    """Add Poisson noise, see `shot.poisson`; the same counts where the picture is the same in 8 bits.

    Args:
        image_CHW: float32, 0..255.
        step: scale, grey and seed.
        size_px: not used.
    """
    del size_px
    device = image_CHW.device
    levels_CHW = to_image(image_CHW).long()
    if step.grey:
        weights = upload(np.array(_GREY)[:, None, None], device)
        levels_CHW = ((levels_CHW * weights).sum(0, keepdim=True) + (1 << (_GREY_BITS - 1))) >> _GREY_BITS
    power = _power(levels_CHW)
    channels, height, width = levels_CHW.shape
    bits = np.random.Philox(key=step.seed).random_raw(-(-levels_CHW.numel() // 2)).astype("<u8", copy=False).view("<i4")
    bits_CHW = upload_picture(bits[: levels_CHW.numel()].reshape(height, width, channels), device).long() & (2**_BITS - 1)
    counts_CHW = _counts(levels_CHW, bits_CHW, power).float()
    noise_CHW = (counts_CHW / (1 << power).float() * 255 - levels_CHW.float()) * step.scale
    return (image_CHW + noise_CHW).clamp(0, 255)


def _power(levels_CHW: Tensor) -> Tensor:
    """Power of two, (1,) on the device, that the number of different levels is rounded up to; nobody waits for it."""
    device = levels_CHW.device
    seen = torch.zeros(shot.LEVELS, dtype=torch.long, device=device).index_fill_(0, levels_CHW.flatten(), 1)
    return (seen.sum() > (1 << torch.arange(POWERS - 1, device=device))).sum().view(1)


def _counts(levels_CHW: Tensor, bits_CHW: Tensor, power: Tensor) -> Tensor:
    """First count of each level and how many entries of its distribution the random number reaches."""
    table, first, last = (each.index_select(0, power)[0] for each in _tables(levels_CHW.device))
    reached = torch.searchsorted(table, (levels_CHW << _BITS) + bits_CHW, right=True) - levels_CHW * (len(table) // shot.LEVELS)
    return first[levels_CHW] + torch.minimum(reached, last)


@lru_cache(maxsize=4)
def _tables(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Distributions for every power of two, each as one ascending row: level * 2^32 + entry; first counts; last places."""
    made = [shot.inverse(2**power) for power in range(POWERS)]
    widths = np.array([table.shape[1] for table, _, _ in made])
    rows = np.full((POWERS, shot.LEVELS, widths.max()), 2**_BITS - 1, dtype=np.int64)
    for row, (table, _, _) in zip(rows, made, strict=True):
        row[:, : table.shape[1]] = table
    rows += np.arange(shot.LEVELS, dtype=np.int64)[:, None] << _BITS
    first = np.stack([counts for _, _, counts in made]).astype(np.int64)
    return upload(rows.reshape(POWERS, -1), device), upload(first, device), upload(widths - 1, device)
