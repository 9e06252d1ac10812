"""The table of degradations on a device, beside `degrade.operators.DEGRADATIONS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from components.imaging.degrade.batch.carrier import download_picture, upload_picture
from components.imaging.degrade.batch.filter import blur, sinc, spread
from components.imaging.degrade.batch.jpeg import jpeg
from components.imaging.degrade.batch.noise import noise, poisson
from components.imaging.degrade.batch.resize import fit, rescale, resize
from components.imaging.degrade.operators import DEGRADATIONS

ON_DEVICE: Mapping[str, Callable[[Tensor, Any, tuple[int, int]], Tensor]] = {
    "blur": blur,
    "resize": resize,
    "noise": noise,
    "jpeg": jpeg,
    "spread": spread,
    "sinc": sinc,
    "rescale": rescale,
    "fit": fit,
    "grey_noise": noise,
    "poisson": poisson,
}
"""`kind` of a step -> the function that carries it out on (C, H, W) float32 pixels, 0..255, where they are."""


def carry_out(image_CHW: Tensor, step: Any, size_px: tuple[int, int]) -> Tensor:
    """Carry out one step; one that this table lacks is brought to the processor, carried out there and brought back.

    Args:
        image_CHW: float32, 0..255.
        step: any step of a recipe.
        size_px: (height, width) of the HQ crop.
    """
    if step.kind in ON_DEVICE:
        return ON_DEVICE[step.kind](image_CHW, step, size_px)
    made = DEGRADATIONS[step.kind](download_picture(image_CHW), step, size_px)
    return upload_picture(made.astype(np.float32, copy=False), image_CHW.device)
