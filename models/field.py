"""The network's velocity along one fixed schedule, in whatever way it is computed.

Shapes: B batch, T tokens, D values per token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from models.attention import Backend
from models.bundle import FrozenParts
from models.exact import Exact
from models.fast import Fast
from models.lucidflux import Adapter, Condition, Prepared, prepare, velocity

Mode = Literal["plain", "exact", "fast"]
"""`plain`: the unmodified blocks, called step by step; `exact`: the same numbers with everything that cannot change
computed once; `fast`: other numbers, sooner."""


class Field(Protocol):
    """Velocity at the times of a schedule."""

    times: tuple[float, ...]
    """Flow times, one more than there are steps."""

    def prepare(self, cond: Condition) -> Any:
        """Compute once per picture what no step changes."""

    def velocity(self, x_BTD: Tensor, step: int, prepared: Any) -> Tensor:
        """Velocity (B, T, D) at times[step]."""


class Plain:
    """The unmodified network; only what depends on the picture alone is kept between steps."""

    def __init__(self, adapter: Adapter | None, frozen: FrozenParts, times: Sequence[float], guidance: float) -> None:
        self.adapter, self.frozen, self.times, self.guidance = adapter, frozen, tuple(times), guidance

    def prepare(self, cond: Condition) -> Prepared:
        """Hint tokens and context of a picture."""
        return prepare(self.adapter, self.frozen, cond)

    def velocity(self, x_BTD: Tensor, step: int, prepared: Prepared) -> Tensor:
        """Velocity (B, T, D) at times[step]."""
        t_B = torch.full((len(x_BTD),), self.times[step], device=x_BTD.device)
        return velocity(self.adapter, self.frozen, x_BTD, t_B, prepared, self.guidance)


@dataclass(frozen=True)
class Kernels:
    """How the products are computed; other rounding, the same numbers."""

    fused: bool = False
    """One product for layers that see the same tokens; a second copy of their weights."""
    attention: Backend = "auto"
    """Kernel of the attention."""
    compiled: bool = False
    """Blocks through torch.compile."""


def require(mode: Mode, frozen: FrozenParts, kernels: Kernels) -> None:
    """Refuse what cannot be computed.

    Raises:
        ValueError: unknown mode, or kernels that this mode or the weights' place does not allow.
    """
    if mode not in FIELDS:
        raise ValueError(f"Unknown mode {mode!r}; choose one of {', '.join(FIELDS)}.")
    if mode == "plain" and kernels != Kernels():
        raise ValueError("Mode 'plain' calls the blocks as they are; fused, attention and compiled belong to 'exact' and 'fast'.")
    if (kernels.fused or kernels.compiled) and frozen.placement is not None and frozen.placement.mode != "full":
        raise ValueError(f"fused and compiled need all weights in place, not memory = {frozen.placement.mode!r}; choose 'full'.")


def build_field(
    mode: Mode,
    adapter: Adapter | None,
    frozen: FrozenParts,
    times: Sequence[float],
    guidance: float,
    kernels: Kernels = Kernels(),
) -> Field:
    """Make the field of a schedule.

    Raises:
        ValueError: unknown mode, or kernels that this mode or the weights' place does not allow.
    """
    require(mode, frozen, kernels)
    if mode == "plain":
        return Plain(adapter, frozen, times, guidance)
    compiler = "inductor" if kernels.compiled else None
    return FIELDS[mode](adapter, frozen, times, guidance, fused=kernels.fused, attention=kernels.attention, compiler=compiler)


Build = Callable[..., Field]
FIELDS: Mapping[str, Build] = {"plain": Plain, "exact": Exact, "fast": Fast}
"""Mode -> what computes it."""
