"""The loop: sample, update, average, report, save; the same for every engine and any number of processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic

import torch
from torch import Tensor, nn

from components.train.checkpoint import State
from components.train.engine import BatchT, Engine, learning_rate
from components.train.events import Emit, mute
from components.train.order import Spread
from components.train.settings import TrainSettings


def _go_on(_: Loop[BatchT]) -> bool:
    return False


def _unchecked() -> None:
    """Let a run go on."""


@dataclass
class Loop(Generic[BatchT]):
    """One run in one process."""

    engine: Engine[BatchT]
    weights: dict[str, nn.Parameter]
    """What is trained; the engine keeps them up to date."""
    settings: TrainSettings
    spread: Spread
    make: Callable[[range], BatchT]
    """Gives the batch of some samples."""
    emit: Emit = mute
    watch: Callable[[], Mapping[str, Any]] = dict
    """Gives more figures of an update; called on every process."""
    between: Callable[[Loop[BatchT]], bool] = _go_on
    """Called before the first and after every update, on every process; True ends the run."""
    step: int = 0
    """Updates done."""
    losses: list[float] = field(default_factory=list)
    average: dict[str, Tensor] = field(default_factory=dict)
    """Averaged weights, on the first process and only when they are asked for."""

    def __post_init__(self) -> None:
        if self.settings.ema_decay and self.spread.rank == 0 and not self.average:
            self.average = {name: weight.detach().clone() for name, weight in self.weights.items()}

    def run(self, save: Callable[[State], None], check: Callable[[], None] = _unchecked) -> None:
        """Go on to the last step, or until `between` ends it.

        Args:
            save: called on every process, every `checkpoint_every_steps` updates and at the end.
            check: called before every update; raises to stop the run.

        Raises:
            BadLoss: loss or gradient is not finite; nothing was saved since.
        """
        stopped = self.between(self)
        while self.step < self.settings.steps and not stopped:
            check()
            self._update()
            stopped = self.between(self)
            if self.step % self.settings.checkpoint_every_steps == 0 or self.step == self.settings.steps or stopped:
                save(self.state())

    def _update(self) -> None:
        started = time.monotonic()
        waited = 0.0

        def batches() -> Iterator[BatchT]:
            nonlocal waited
            for samples in self.spread.micro_batches(self.step):
                begun = time.monotonic()
                batch = self.make(samples)
                waited += time.monotonic() - begun
                yield batch

        rate = learning_rate(self.settings, self.step)
        update = self.engine.update(batches(), rate)
        self.step += 1
        self.losses.append(update.loss)
        self._follow()
        seconds = time.monotonic() - started
        self.emit(
            "step",
            step=self.step,
            loss=update.loss,
            learning_rate=rate,
            grad_norm=update.grad_norm,
            samples_per_second=self.spread.batch_size / seconds,
            data_share=waited / seconds,
            seconds=seconds,
            **self.watch(),
        )

    @torch.no_grad()
    def _follow(self) -> None:
        if self.average:
            # a long memory would keep the start of a short run
            decay = min(self.settings.ema_decay, (1 + self.step) / (10 + self.step))
            weights = [self.weights[name].detach() for name in self.average]
            torch._foreach_lerp_(list(self.average.values()), weights, 1 - decay)

    def state(self) -> State:
        """Everything needed to go on; a collective call."""
        return State(
            step=self.step,
            weights={name: weight.detach() for name, weight in self.weights.items()},
            average=self.average,
            optimizer=self.engine.optimizer_state(),
            losses=self.losses,
        )

    @torch.no_grad()
    def settle(self) -> None:
        """Put the averaged weights in place of the last ones, on the first process."""
        for name, mean in self.average.items():
            self.weights[name].copy_(mean)


def ends(losses: list[float]) -> tuple[float, float]:
    """Mean loss of the first and of the last tenth of the updates."""
    tenth = max(1, len(losses) // 10)
    return sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth
