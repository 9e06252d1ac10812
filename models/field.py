"""The network's velocity along one fixed schedule, in whatever way it is computed.

Shapes: B batch, T tokens, D values per token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

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


def build_field(mode: Mode, adapter: Adapter | None, frozen: FrozenParts, times: Sequence[float], guidance: float) -> Field:
    """Make the field of a schedule.

    Raises:
        ValueError: unknown mode, or one that this network does not support.
    """
    if mode not in FIELDS:
        raise ValueError(f"Unknown mode {mode!r}; choose one of {', '.join(FIELDS)}.")
    return FIELDS[mode](adapter, frozen, times, guidance)


Build = Callable[[Adapter | None, FrozenParts, Sequence[float], float], Field]
FIELDS: Mapping[str, Build] = {"plain": Plain, "exact": Exact, "fast": Fast}
"""Mode -> what computes it."""
