"""Blur with a kernel of one of the seven families, and sharpening of the HQ picture."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from numba import njit
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
        image: (H, W, 3) float32, 0..255, C-contiguous.
    """
    line = kernels.line(USM_TAPS, USM_SIGMA_PX)
    blurred = correlate_lines(image, line)
    mask: Pixels = np.empty_like(image)
    _mask(image.ravel(), blurred.ravel(), np.float32(USM_THRESHOLD_U8), mask.ravel())
    soft = correlate_lines(mask, line)
    _blend(image.ravel(), blurred.ravel(), soft.ravel(), np.float32(USM_WEIGHT), mask.ravel())
    return mask


# numpy would walk over megabytes once for each operation
@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _mask(image, blurred, threshold, mask):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for n in range(len(image)):
        mask[n] = np.float32(1) if abs(image[n] - blurred[n]) > threshold else np.float32(0)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _blend(image, blurred, soft, weight, result):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for n in range(len(image)):
        sharp = min(max(image[n] + weight * (image[n] - blurred[n]), np.float32(0)), np.float32(255))
        result[n] = soft[n] * sharp + (np.float32(1) - soft[n]) * image[n]
