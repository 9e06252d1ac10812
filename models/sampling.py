"""The schedule and the solver.

Shapes: B batch, T tokens, D values per token.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal

from torch import Tensor

ShiftRule = Literal["tokens", "released", "none"]
"""`tokens`: FLUX's, by the number of image tokens; `released`: the released program's, which divides the latent's
cells by 256 and so gets 64 at 1024x1024 px; `none`: straight."""
SHIFT_LINE = ((256, 0.5), (4096, 1.15))
"""(length, mu) through which the line of FLUX's shift goes."""


def shift_length(rule: ShiftRule, height_px: int, width_px: int) -> int:
    """The length that a shift rule sees for a picture."""
    if rule == "released":
        return (width_px // 8) * (height_px // 8) // 256
    return (width_px // 16) * (height_px // 16)


def shift_mu(length: int) -> float:
    """Value of mu on the line through SHIFT_LINE, not clamped."""
    (x_low, mu_low), (x_high, mu_high) = SHIFT_LINE
    return mu_low + (mu_high - mu_low) / (x_high - x_low) * (length - x_low)


def shift_time(s: float, mu: float) -> float:
    """Warp s to t = e^mu / (e^mu + 1/s - 1); 0 stays 0 and 1 stays 1."""
    return 0.0 if s == 0 else math.exp(mu) / (math.exp(mu) + 1 / s - 1)


def schedule(steps: int, rule: ShiftRule, *, height_px: int, width_px: int, start: float = 1.0) -> list[float]:
    """Flow times from `start` down to 0, steps + 1 of them.

    Args:
        steps: network evaluations.
        rule: how the picture's size bends the schedule.
        height_px: height of the padded picture.
        width_px: its width.
        start: first time; 1 is pure noise, less begins at the noised LRP.

    Raises:
        ValueError: no step, or a start outside (0, 1].
    """
    if steps < 1 or not 0 < start <= 1:
        raise ValueError(f"A schedule needs at least 1 step and a start in (0, 1]; got {steps} steps from {start}.")
    mu = 0.0 if rule == "none" else shift_mu(shift_length(rule, height_px, width_px))
    first = 1.0 if start == 1 else 1 / (1 + math.exp(mu) * (1 / start - 1))
    return [shift_time(first * (1 - index / steps), mu) for index in range(steps + 1)]


def euler(velocity: Callable[[Tensor, float], Tensor], x_BTD: Tensor, times: Sequence[float]) -> Tensor:
    """Follow the velocity along the schedule: x <- x + (t_next - t) v."""
    for t, t_next in itertools.pairwise(times):
        x_BTD = x_BTD + (t_next - t) * velocity(x_BTD, t)
    return x_BTD
