"""Point spread functions by their formulas (Real-ESRGAN, arXiv 2107.10833, section 3.1 and appendix; DreamClear uses them too).

With q = x^T Sigma^-1 x, Sigma = R(theta) diag(sigma_x^2, sigma_y^2) R(theta)^T, and r the distance to the centre:

    Gaussian exp(-q/2);  generalised exp(-q^beta/2);  plateau 1/(1 + q^beta);  sinc w J1(w r) / (2 pi r), w^2 / (4 pi) at r = 0

each over a square of pixels and divided by its sum. Motion and defocus are even over a line and a disc, and a pixel's weight is
the length or area of that in its square (Lagendijk and Biemond, "Basic methods for image restoration and identification", 2000).
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


@lru_cache(maxsize=64)
def motion(length_px: float, theta: float) -> Kernel:
    """Line through the centre, (size, size) float32, sum 1.

    Args:
        length_px: of the line.
        theta: its angle, rad, counted from the columns' axis to that of the rows.
    """
    half = int(length_px / 2 + 0.5)
    places = np.arange(-half, half + 1)
    row_from, row_to = _within(places, math.sin(theta), length_px / 2)
    column_from, column_to = _within(places, math.cos(theta), length_px / 2)
    return _normal(np.maximum(0, np.minimum.outer(row_to, column_to) - np.maximum.outer(row_from, column_from)))


def _within(
    places: npt.NDArray[np.int64], direction: float, half_px: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Where a line is in each row or column of pixels: from and to, as distances from the centre along it."""
    if abs(direction) * half_px < 1e-9:
        reach = np.where(places == 0, half_px, -half_px)
        return -reach, reach
    one, two = (places - 0.5) / direction, (places + 0.5) / direction
    return np.clip(np.minimum(one, two), -half_px, half_px), np.clip(np.maximum(one, two), -half_px, half_px)


@lru_cache(maxsize=64)
def disc(radius_px: float) -> Kernel:
    """Disc about the centre, (size, size) float32, sum 1."""
    half = int(radius_px + 0.5)
    corners = np.arange(half + 2) - 0.5
    areas = np.array([[_quarter(abs(x), abs(y), radius_px) * np.sign(x * y) for x in corners] for y in corners])
    part = areas[1:, 1:] - areas[:-1, 1:] - areas[1:, :-1] + areas[:-1, :-1]
    # one quarter, mirrored, so that opposite weights are equal to the last bit
    places = np.abs(np.arange(-half, half + 1))
    return _normal(part[np.ix_(places, places)])


def _quarter(x: float, y: float, radius: float) -> float:
    """Area of the disc's part between 0 and x and between 0 and y, both at least 0."""
    x, y = min(x, radius), min(y, radius)
    if x * x + y * y <= radius * radius:
        return x * y

    def under(end: float) -> float:
        return (end * math.sqrt(radius * radius - end * end) + radius * radius * math.asin(end / radius)) / 2

    start = math.sqrt(radius * radius - y * y)
    return y * start + under(x) - under(start)


def _normal(weights: npt.NDArray[np.float64]) -> Kernel:
    """Divide by the sum, on the grid; what rounding leaves goes to the centre."""
    steps = np.rint(weights / weights.sum() / GRID)
    steps.flat[steps.size // 2] += 1 / GRID - steps.sum()
    kernel: Kernel = (steps * GRID).astype(np.float32)
    kernel.setflags(write=False)
    return kernel
