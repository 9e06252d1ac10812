"""Blur with a kernel of one of the seven families, and sharpening of the HQ picture."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from components.imaging.degrade import kernels
from components.imaging.degrade.carrier import Pixels
from components.imaging.degrade.correlate import correlate, correlate_lines
from components.records import Record

Size = Annotated[int, Field(ge=3, le=51)]
USM_TAPS, USM_SIGMA_PX, USM_WEIGHT, USM_THRESHOLD_U8 = 51, 8.0, 0.5, 10
"""Real-ESRGAN's sharpening: radius 50 made odd, the sigma that OpenCV takes for it, weight and least contrast."""


class Spread(Record):
    """Point spread function of one recipe."""

    kind: Literal["spread"] = "spread"
    shape: kernels.Shape
    size: Size
    """Odd side, px."""
    sigma_x_px: Annotated[float, Field(gt=0)]
    sigma_y_px: Annotated[float, Field(gt=0)]
    """Not used by the isotropic families."""
    theta: Annotated[float, Field(ge=-math.pi, le=math.pi)]
    """rad; not used by the isotropic families."""
    beta: Annotated[float, Field(gt=0)]
    """Exponent of the generalised and plateau families."""


class Sinc(Record):
    """Low-pass of one recipe, which rings."""

    kind: Literal["sinc"] = "sinc"
    size: Size
    """Odd side, px."""
    cutoff: Annotated[float, Field(gt=0, le=math.pi)]
    """rad per pixel."""


def spread(image: Pixels, step: Spread, size_px: tuple[int, int]) -> Pixels:
    """Blur; borders are reflect-101, the kernel is not turned.

    Args:
        image: (H, W, 3) float32, 0..255.
        step: family, size and parameters.
        size_px: not used.
    """
    del size_px
    if step.shape == "iso":
        return correlate_lines(image, kernels.line(step.size, step.sigma_x_px))
    sigma_px = step.sigma_x_px, step.sigma_y_px
    return correlate(image, kernels.spread(step.shape, step.size, sigma_px, step.theta, step.beta))


def sinc(image: Pixels, step: Sinc, size_px: tuple[int, int]) -> Pixels:
    """Blur with the low-pass; borders are reflect-101.

    Args:
        image: (H, W, 3) float32, 0..255.
        step: size and cutoff.
        size_px: not used.
    """
    del size_px
    return correlate(image, kernels.sinc(step.size, step.cutoff))


def sharpen(image: Pixels) -> Pixels:
    """Unsharp masking where the contrast is worth it, as Real-ESRGAN does to its HQ pictures (section 3.1, `USMSharp`).

    With B the blurred picture: soft * clip(I + 0.5 (I - B)) + (1 - soft) * I, where soft is the blurred mask |I - B| > 10.

    Args:
        image: (H, W, 3) float32, 0..255.
    """
    line = kernels.line(USM_TAPS, USM_SIGMA_PX)
    detail = image - correlate_lines(image, line)
    soft = correlate_lines((np.abs(detail) > USM_THRESHOLD_U8).astype(np.float32), line)
    sharp = np.clip(image + np.float32(USM_WEIGHT) * detail, 0, 255)
    result: Pixels = soft * sharp + (1 - soft) * image
    return result
