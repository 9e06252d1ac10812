"""Blur, the seven families of kernels and sharpening, on a device.

Sums are made in float64 by way of the Fourier transform, whose cost does not follow the size of a kernel, and rounded to
float32 once. So neither the order of the sums nor TF32 reaches the pixels, and what differs from the processor's path is the
rounding of its own float32 sums, some 1e-5 grey levels.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
import torch
from scipy.fft import next_fast_len
from torch import Tensor

from components.imaging.degrade import kernels
from components.imaging.degrade.batch.carrier import upload
from components.imaging.degrade.blur import Blur
from components.imaging.degrade.filter import USM_SIGMA_PX, USM_TAPS, USM_THRESHOLD_U8, USM_WEIGHT, Sinc, Spread

_STEPS_PER_LEVEL = 256
_ONE = 2**16
"""OpenCV's weights for 16-bit pictures are whole multiples of 1 / 2^16."""


def correlate(image_CHW: Tensor, kernel: npt.NDArray[np.float64]) -> Tensor:
    """Correlate each channel, borders reflect-101.

    Args:
        image_CHW: float32.
        kernel: (K, K), K odd.

    Returns:
        (C, H, W) float64.
    """
    height, width = image_CHW.shape[1:]
    half = kernel.shape[0] // 2
    padded = _reflected(_reflected(image_CHW, half, 1), half, 2).double()
    size = [next_fast_len(side + 2 * half, real=True) for side in (height, width)]
    spectrum = torch.fft.rfft2(padded, s=size) * torch.fft.rfft2(upload(kernel, image_CHW.device), s=size).conj()
    result: Tensor = torch.fft.irfft2(spectrum, s=size)
    return result[:, :height, :width]


def _reflected(image_CHW: Tensor, half: int, axis: int) -> Tensor:
    """Reflect without the border pixel, any number of times for a picture narrower than that."""
    side = image_CHW.shape[axis]
    period = max(1, 2 * (side - 1))
    places = torch.arange(-half, side + half, device=image_CHW.device) % period
    return image_CHW.index_select(axis, torch.minimum(places, period - places))


def _square(line: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    return np.outer(line, line).astype(np.float64)


def blur(image_CHW: Tensor, step: Blur, size_px: tuple[int, int]) -> Tensor:
    """Blur on OpenCV's grid of 16 bits, with its weights.

    Args:
        image_CHW: float32, 0..255.
        step: its sigma.
        size_px: not used.
    """
    del size_px
    if step.sigma_px == 0:
        return image_CHW
    kernel = _square(_blur_line(2 * max(1, math.ceil(4 * step.sigma_px)) + 1, step.sigma_px))
    blurred = correlate((image_CHW * _STEPS_PER_LEVEL).round(), kernel)
    return (blurred + 0.5).floor().float() / _STEPS_PER_LEVEL


@lru_cache(maxsize=64)
def _blur_line(side: int, sigma_px: float) -> npt.NDArray[np.float64]:
    """OpenCV's own weights, (side,), read off what it makes of one bright column."""
    column = np.zeros((3, 2 * side + 1), np.uint16)
    column[:, side] = _ONE - 1
    made = cv2.GaussianBlur(column, (side, side), sigma_px, borderType=cv2.BORDER_REFLECT_101)
    steps = made[1, side - side // 2 : side + side // 2 + 1].astype(np.float64)
    # a bright pixel is one step short of 1, which only the centre can show
    steps[side // 2] += _ONE - steps.sum()
    weights: npt.NDArray[np.float64] = steps / _ONE
    return weights


def spread(image_CHW: Tensor, step: Spread, size_px: tuple[int, int]) -> Tensor:
    """Blur with a point spread function.

    Args:
        image_CHW: float32, 0..255.
        step: family, size and parameters.
        size_px: not used.
    """
    del size_px
    if step.shape == "iso":
        return correlate(image_CHW, _square(kernels.line(step.size, step.sigma_x_px))).float()
    sigma_px = step.sigma_x_px, step.sigma_y_px
    kernel = kernels.spread(step.shape, step.size, sigma_px, step.theta, step.beta)
    return correlate(image_CHW, kernel.astype(np.float64)).float()


def sinc(image_CHW: Tensor, step: Sinc, size_px: tuple[int, int]) -> Tensor:
    """Blur with the low-pass.

    Args:
        image_CHW: float32, 0..255.
        step: size and cutoff.
        size_px: not used.
    """
    del size_px
    return correlate(image_CHW, kernels.sinc(step.size, step.cutoff).astype(np.float64)).float()


def sharpen(image_CHW: Tensor) -> Tensor:
    """Unsharp masking where the contrast is worth it, see `degrade.filter.sharpen`.

    Args:
        image_CHW: float32, 0..255.
    """
    kernel = _square(kernels.line(USM_TAPS, USM_SIGMA_PX))
    detail = image_CHW - correlate(image_CHW, kernel).float()
    soft = correlate((detail.abs() > USM_THRESHOLD_U8).float(), kernel).float()
    sharp = (image_CHW + USM_WEIGHT * detail).clamp(0, 255)
    return soft * sharp + (1 - soft) * image_CHW
