"""Flow matching (Lipman et al. 2023, in FLUX's direction: t = 1 is noise).

Shapes: B batch, T tokens, D values per token.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from models.bundle import FrozenParts
from models.lucidflux import Adapter, Condition, Prepared, velocity
from models.sampling import ShiftRule, shift_length, shift_mu

TimeKind = Literal["restoration", "balanced", "logit_normal", "uniform", "released"]
"""`restoration`: 3/4 uniform in RESTORATION_SPAN, where sampling from the LRP spends its steps, else `balanced`;
`logit_normal`: sigmoid of a normal of any mean and deviation; `balanced`: of the standard normal; `uniform`: in [0, 1);
`released`: sigmoid(n + 3.1582), as the authors' training program draws it."""
RESTORATION_SPAN = (0.02, 0.65)
RELEASED_SHIFT = 3.1582
RELEASED_TICKS = 1000
"""The released program tells the network its time in whole thousandths, rounded down."""


def sample_time(kind: TimeKind, n_B: Tensor, u_B: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Flow times in [0, 1] from given random numbers, so that the caller owns the seed.

    Args:
        kind: which distribution.
        n_B: standard normal numbers.
        u_B: uniform numbers in [0, 1); only `restoration` and `uniform` use them.
        mean: of the normal inside `logit_normal`; above 0 leans towards noise.
        std: its deviation.

    Raises:
        ValueError: unknown kind.
    """
    if kind == "released":
        return torch.sigmoid(n_B + RELEASED_SHIFT)
    if kind == "logit_normal":
        return torch.sigmoid(mean + std * n_B)
    if kind == "balanced":
        return torch.sigmoid(n_B)
    if kind == "uniform":
        return u_B
    if kind == "restoration":
        low, high = RESTORATION_SPAN
        return torch.where(u_B < 0.75, low + (high - low) * u_B / 0.75, torch.sigmoid(n_B))
    raise ValueError(f"Unknown time distribution {kind!r}; choose restoration, balanced, logit_normal, uniform or released.")


def shift_time(t_B: Tensor, rule: ShiftRule, height_px: int, width_px: int) -> Tensor:
    """Bend times towards noise by the picture's size, as the sampler's schedule is bent: e^mu t / (1 + (e^mu - 1) t).

    Args:
        t_B: flow times in [0, 1]; 0 and 1 stay.
        rule: which length decides mu (`models.sampling`); `none` changes nothing.
        height_px: of the crop.
        width_px: likewise.
    """
    if rule == "none":
        return t_B
    bend = math.exp(shift_mu(shift_length(rule, height_px, width_px)))
    return bend * t_B / (1 + (bend - 1) * t_B)


def told_time(kind: TimeKind, t_B: Tensor) -> Tensor:
    """The time that the network is told: `released` floors it to thousandths, while noise is mixed by the time itself."""
    return (t_B * RELEASED_TICKS).floor() / RELEASED_TICKS if kind == "released" else t_B


def mix(x0_BTD: Tensor, x1_BTD: Tensor, t_B: Tensor) -> Tensor:
    """x_t = (1 - t) x0 + t x1."""
    t_B11 = t_B[:, None, None]
    return (1 - t_B11) * x0_BTD + t_B11 * x1_BTD


def velocity_target(x0_BTD: Tensor, x1_BTD: Tensor) -> Tensor:
    """The constant velocity x1 - x0 of the straight path."""
    return x1_BTD - x0_BTD


def velocity_error(v_BTD: Tensor, x0_BTD: Tensor, x1_BTD: Tensor) -> Tensor:
    """Mean squared error of a velocity, one value per sample (B,), in float32; unweighted, as released."""
    return (v_BTD.float() - velocity_target(x0_BTD, x1_BTD)).square().mean(dim=(1, 2))


def one_step_x0(x_t_BTD: Tensor, v_BTD: Tensor, t_B: Tensor) -> Tensor:
    """The data that a velocity points to from x_t in one step: x_t - t v."""
    return x_t_BTD - t_B[:, None, None] * v_BTD


def pixel_error(image_BCHW: Tensor, hq_BCHW: Tensor) -> Tensor:
    """Mean absolute difference, one value per sample (B,); both pictures in [-1, 1]."""
    return (image_BCHW - hq_BCHW).abs().mean(dim=(1, 2, 3))


def gradient_error(image_BCHW: Tensor, hq_BCHW: Tensor) -> Tensor:
    """Mean absolute difference of horizontal and vertical differences, one value per sample (B,).

    It sees edges and texture and is blind to a shift in brightness (gradient difference loss, Mathieu et al. 2016, with
    exponent 1 and signs kept).
    """
    across, down = ((image_BCHW.diff(dim=dim) - hq_BCHW.diff(dim=dim)).abs().mean(dim=(1, 2, 3)) for dim in (-1, -2))
    return across + down


def flow_matching_loss(
    adapter: Adapter | None,
    frozen: FrozenParts,
    x0_BTD: Tensor,
    noise_BTD: Tensor,
    t_B: Tensor,
    cond: Condition | Prepared,
    guidance: float = 1.0,
) -> Tensor:
    """Mean squared error of the velocity, one value per sample (B,); unweighted, as released.

    Args:
        adapter: the trained part; None trains or measures the bare backbone.
        frozen: the other parts.
        x0_BTD: scaled packed latent of the HQ.
        noise_BTD: standard normal.
        t_B: flow times from `sample_time`.
        cond: what the network is told.
        guidance: guidance input in training (released: 1.0).
    """
    x_t_BTD = mix(x0_BTD, noise_BTD, t_B)
    v_BTD = velocity(adapter, frozen, x_t_BTD, t_B, cond, guidance)
    return velocity_error(v_BTD, x0_BTD, noise_BTD)
