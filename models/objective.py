"""Flow matching (Lipman et al. 2023, in FLUX's direction: t = 1 is noise).

Shapes: B batch, T tokens, D values per token.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from models.bundle import FrozenParts
from models.lucidflux import Adapter, Condition, Prepared, velocity

TimeKind = Literal["restoration", "balanced", "uniform", "released"]
"""`restoration`: 3/4 uniform in RESTORATION_SPAN, where sampling from the LRP spends its steps, else `balanced`;
`balanced`: sigmoid of a normal; `uniform`: in [0, 1);
`released`: sigmoid(n + 3.1582), as the authors' training program draws it."""
RESTORATION_SPAN = (0.02, 0.65)
RELEASED_SHIFT = 3.1582


def sample_time(kind: TimeKind, n_B: Tensor, u_B: Tensor) -> Tensor:
    """Flow times in (0, 1) from given random numbers, so that the caller owns the seed.

    Args:
        kind: which distribution.
        n_B: standard normal numbers.
        u_B: uniform numbers in [0, 1); only `restoration` and `uniform` use them.

    Raises:
        ValueError: unknown kind.
    """
    if kind == "released":
        return torch.sigmoid(n_B + RELEASED_SHIFT)
    if kind == "balanced":
        return torch.sigmoid(n_B)
    if kind == "uniform":
        return u_B
    if kind == "restoration":
        low, high = RESTORATION_SPAN
        return torch.where(u_B < 0.75, low + (high - low) * u_B / 0.75, torch.sigmoid(n_B))
    raise ValueError(f"Unknown time distribution {kind!r}; choose restoration, balanced, uniform or released.")


def mix(x0_BTD: Tensor, x1_BTD: Tensor, t_B: Tensor) -> Tensor:
    """x_t = (1 - t) x0 + t x1."""
    t_B11 = t_B[:, None, None]
    return (1 - t_B11) * x0_BTD + t_B11 * x1_BTD


def velocity_target(x0_BTD: Tensor, x1_BTD: Tensor) -> Tensor:
    """The constant velocity x1 - x0 of the straight path."""
    return x1_BTD - x0_BTD


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
    return (v_BTD.float() - velocity_target(x0_BTD, noise_BTD)).square().mean(dim=(1, 2))
