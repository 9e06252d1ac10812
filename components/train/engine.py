"""Optimisers and the plain engine; what both engines promise.

An engine owns gradients and optimiser of one module that gives a loss per sample. Its optimiser state goes in and
out as full tensors by parameter name, so that it fits any number of processes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from components.errors import TrainError
from components.train.settings import TrainSettings

BatchT = TypeVar("BatchT", bound="Named")
BatchT_contra = TypeVar("BatchT_contra", bound="Named", contravariant=True)
FINAL_SHARE = 0.03
"""Of the learning rate, where a cosine ends."""


class Named(Protocol):
    """A batch that knows its pairs."""

    @property
    def pairs(self) -> tuple[str, ...]:
        """Ids, one per sample."""


@dataclass(frozen=True)
class Update:
    """What one optimiser update reports."""

    loss: float
    """Mean over the samples of all processes."""
    grad_norm: float
    """Of the whole gradient, before clipping."""


class Engine(Protocol[BatchT_contra]):
    """One optimisation."""

    def update(self, batches: Iterable[BatchT_contra], rate: float) -> Update:
        """Accumulate over this process' batches and update the weights.

        Raises:
            BadLoss: loss or gradient is not finite; the weights may be spoilt.
        """

    def optimizer_state(self) -> dict[str, Tensor]:
        """Full state as `<key>/<parameter>`, the caller's own, on the processor; every process must call it, and all get it."""

    def load_optimizer_state(self, state: dict[str, Tensor]) -> None:
        """Take a state that `optimizer_state` gave, from any number of processes."""


class BadLoss(TrainError):
    """A loss or a gradient is not finite."""

    def __init__(self, what: str, pairs: tuple[str, ...]) -> None:
        super().__init__(what)
        self.pairs = pairs


def learning_rate(settings: TrainSettings, step: int) -> float:
    """Rate of update 0, 1, ...: linear warm-up, then constant or a cosine."""
    warm = min(1.0, (step + 1) / (settings.warmup_steps + 1))
    if settings.schedule == "constant":
        return settings.learning_rate * warm
    share = min(1.0, step / settings.steps)
    return settings.learning_rate * warm * (FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * share)))


def build_optimizer(settings: TrainSettings, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Make the optimiser that the settings name."""
    listed = list(parameters)
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(
            listed, lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay, fused=True
        )
    from transformers.optimization import Adafactor

    optimizer: torch.optim.Optimizer = Adafactor(
        listed,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        scale_parameter=False,
        relative_step=False,
        warmup_init=False,
    )
    return optimizer


def restore_number(settings: TrainSettings, value: Tensor) -> Any:
    """A scalar of the state in the form that its optimiser expects."""
    return value.float() if settings.optimizer == "adamw" else value.item()


def checked_loss(loss_B: Tensor, batch: Named) -> Tensor:
    """Mean of the losses.

    Raises:
        BadLoss: one is not finite; names its pairs.
    """
    finite = torch.isfinite(loss_B.detach())
    if not bool(finite.all()):
        bad = tuple(pair for pair, good in zip(batch.pairs, finite.tolist(), strict=True) if not good)
        raise BadLoss("The loss is not finite", bad)
    return loss_B.mean()


class PlainEngine(Generic[BatchT]):
    """One process, torch alone."""

    def __init__(self, objective: nn.Module, settings: TrainSettings) -> None:
        """Optimise every parameter of `objective`, which maps a batch to losses (B,)."""
        self.objective = objective
        self.settings = settings
        self.named = dict(objective.named_parameters())
        self.optimizer = build_optimizer(settings, self.named.values())

    def update(self, batches: Iterable[BatchT], rate: float) -> Update:
        """See Engine."""
        set_rate(self.optimizer, rate)
        self.optimizer.zero_grad(set_to_none=True)
        losses: list[float] = []
        pairs: tuple[str, ...] = ()
        for batch in batches:
            loss = checked_loss(self.objective(batch), batch)
            backward: Callable[[], None] = (loss / self.settings.accumulation).backward
            backward()
            losses.append(float(loss.detach()))
            pairs += batch.pairs
        limit = self.settings.gradient_clip or math.inf
        norm = float(nn.utils.clip_grad_norm_(self.named.values(), limit))
        if not math.isfinite(norm):
            raise BadLoss("The gradient is not finite", pairs)
        self.optimizer.step()
        return Update(sum(losses) / len(losses), norm)

    def optimizer_state(self) -> dict[str, Tensor]:
        """See Engine."""
        return {
            f"{key}/{name}": torch.as_tensor(value).detach().to("cpu", copy=True)
            for name, parameter in self.named.items()
            for key, value in self.optimizer.state.get(parameter, {}).items()
        }

    def load_optimizer_state(self, state: dict[str, Tensor]) -> None:
        """See Engine."""
        for path, value in state.items():
            key, _, name = path.partition("/")
            parameter = self.named[name]
            own = value.to(parameter.device).clone() if value.dim() else restore_number(self.settings, value)
            self.optimizer.state[parameter][key] = own


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate
