"""The schedule and the solver.

Shapes: B batch, T tokens, D values per token.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from diffusers import FlowMatchEulerDiscreteScheduler
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


def scheduler(
    steps: int, rule: ShiftRule, *, height_px: int, width_px: int, start: float = 1.0
) -> FlowMatchEulerDiscreteScheduler:
    """Diffusers' scheduler, unmodified, set to a schedule: sigmas linspace(start, start / steps), bent by mu.

    Under the rule `tokens` with start 1 this is what diffusers' FLUX pipelines set.

    Args:
        steps: network evaluations.
        rule: how the picture's size bends the schedule.
        height_px: height of what the network sees at once.
        width_px: its width.
        start: first time; 1 is pure noise, less begins at the noised LRP.

    Raises:
        ValueError: no step, or a start outside (0, 1].
    """
    if steps < 1 or not 0 < start <= 1:
        raise ValueError(f"A schedule needs at least 1 step and a start in (0, 1]; got {steps} steps from {start}.")
    mu = 0.0 if rule == "none" else shift_mu(shift_length(rule, height_px, width_px))
    first = 1.0 if start == 1 else 1 / (1 + math.exp(mu) * (1 / start - 1))  # what mu bends to `start`
    solver = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    solver.set_timesteps(sigmas=np.linspace(first, first / steps, steps), mu=mu)
    return solver


def schedule(steps: int, rule: ShiftRule, *, height_px: int, width_px: int, start: float = 1.0) -> list[float]:
    """Flow times from `start` down to 0, steps + 1 of them, float32 values; arguments and errors as in `scheduler`."""
    times: list[float] = scheduler(steps, rule, height_px=height_px, width_px=width_px, start=start).sigmas.tolist()
    return times


def euler(velocity: Callable[[Tensor, float], Tensor], x_BTD: Tensor, times: Sequence[float]) -> Tensor:
    """Follow the velocity along the schedule down to 0 by the scheduler's own step: x <- x + (t_next - t) v."""
    solver = FlowMatchEulerDiscreteScheduler()
    solver.set_timesteps(sigmas=list(times[:-1]))
    for t, t_1000 in zip(times, solver.timesteps, strict=False):
        x_BTD = solver.step(velocity(x_BTD, t), t_1000, x_BTD, return_dict=False)[0]
    return x_BTD


def toward(anchor: Tensor, weight: float, v: Tensor, x_t: Tensor, t: float) -> Tensor:
    """Velocity that leads to (1 - weight) x0 + weight anchor, where x0 = x_t - t v is what the network predicts."""
    return v + weight * (x_t - t * v - anchor) / t if weight else v


def anchor_weight(fidelity: float, t: float, first: float) -> float:
    """Share of the anchor at flow time t of a schedule that starts at `first`: fidelity ** (first / t).

    It falls over the schedule, so that the anchor decides structure and the network detail; 0 and 1 hold throughout.
    """
    return math.pow(fidelity, first / t)
