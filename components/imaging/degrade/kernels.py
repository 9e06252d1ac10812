"""Point spread functions by their formulas (Real-ESRGAN, arXiv 2107.10833, section 3.1 and appendix; DreamClear uses them too).

With q = x^T Sigma^-1 x, Sigma = R(theta) diag(sigma_x^2, sigma_y^2) R(theta)^T, and r the distance to the centre:

    Gaussian exp(-q/2);  generalised exp(-q^beta/2);  plateau 1/(1 + q^beta);  sinc w J1(w r) / (2 pi r), w^2 / (4 pi) at r = 0

each over a square of pixels and divided by its sum.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import j1

Shape = Literal["iso", "aniso", "generalised_iso", "generalised_aniso", "plateau_iso", "plateau_aniso"]
Kernel = npt.NDArray[np.float32]

GRID = 2.0**-24
"""Weights are whole multiples of it, so that the last bit of a processor's exp does not reach the pixels."""


@lru_cache(maxsize=64)
def line(size: int, sigma_px: float) -> Kernel:
    """One dimension of the isotropic Gaussian, (size,) float32; its outer product with itself is the kernel."""
    places = np.arange(size) - size // 2
    return _normal(np.array([math.exp(-0.5 * (place / sigma_px) ** 2) for place in places]))


@lru_cache(maxsize=64)
def spread(shape: Shape, size: int, sigma_px: tuple[float, float], theta: float, beta: float) -> Kernel:
    """Kernel of a family, (size, size) float32, sum 1.

    Args:
        shape: family; the isotropic ones take sigma_px[0] for both axes.
        size: odd number of pixels a side.
        sigma_px: along the two axes.
        theta: angle of the first axis, rad, counted from the columns' axis to that of the rows.
        beta: exponent of the generalised and the plateau families.
    """
    first, second = sigma_px if "aniso" in shape else (sigma_px[0], sigma_px[0])
    rows, columns = np.mgrid[:size, :size] - float(size // 2)
    along = (columns * math.cos(theta) + rows * math.sin(theta)) / first
    across = (rows * math.cos(theta) - columns * math.sin(theta)) / second
    q = along**2 + across**2
    if shape.startswith("plateau"):
        return _normal(1 / (1 + q**beta))
    return _normal(np.exp(-0.5 * (q**beta if shape.startswith("generalised") else q)))


@lru_cache(maxsize=64)
def sinc(size: int, cutoff: float) -> Kernel:
    """Circular low-pass, (size, size) float32, sum 1.

    Args:
        size: odd number of pixels a side.
        cutoff: w, rad per pixel, up to pi.
    """
    rows, columns = np.mgrid[:size, :size] - float(size // 2)
    radius = np.hypot(rows, columns)
    radius[size // 2, size // 2] = 1
    weights = cutoff * j1(cutoff * radius) / (2 * math.pi * radius)
    weights[size // 2, size // 2] = cutoff**2 / (4 * math.pi)
    return _normal(weights)


def _normal(weights: npt.NDArray[np.float64]) -> Kernel:
    """Divide by the sum, on the grid; what rounding leaves goes to the centre."""
    steps = np.rint(weights / weights.sum() / GRID)
    steps.flat[steps.size // 2] += 1 / GRID - steps.sum()
    kernel: Kernel = (steps * GRID).astype(np.float32)
    kernel.setflags(write=False)
    return kernel
