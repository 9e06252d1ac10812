"""One resumable optimisation: the loop that every stage of the pre-training shares, around the engine of all training.

The budget is steps, so that every machine takes the same ones, however long they last there.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from components.train.engine import PlainEngine, learning_rate
from components.train.settings import TrainSettings

LOG_SECONDS = 15.0
CHECKPOINT_SECONDS = 60.0

log = logging.getLogger(__name__)

Step = Callable[[np.random.Generator], dict[str, Tensor]]
"""Draws its own batch and returns the terms; `loss` is the one that is minimised."""


def budget(steps: int, rate: float, *, ema_decay: float = 0.995, weight_decay: float = 0.01) -> TrainSettings:
    """Shape of one stage's optimisation: AdamW, 60 steps of warm-up, a cosine, and averaged weights that are kept."""
    return TrainSettings(
        steps=steps,
        micro_batch_size=8,
        accumulation=1,
        processes=1,
        engine="plain",
        optimizer="adamw",
        learning_rate=rate,
        schedule="cosine",
        warmup_steps=59,
        betas=(0.9, 0.98),
        weight_decay=weight_decay,
        ema_decay=ema_decay,
    )


@dataclass(frozen=True)
class Draw:
    """A batch that is yet to be drawn: the numbers of one step."""

    rng: np.random.Generator
    pairs: tuple[str, ...]
    """Name of the step, for messages."""


class Stage(nn.Module):
    """What the engine optimises: the modules of a stage behind its step."""

    def __init__(self, modules: Sequence[nn.Module], step: Step) -> None:
        super().__init__()
        self.learners = nn.ModuleList(modules)
        self.step = step
        self.terms: dict[str, Tensor] = {}

    def forward(self, draw: Draw) -> Tensor:
        """Loss (1,) of one step; the other terms stay in `terms`."""
        torch.manual_seed(int(draw.rng.integers(2**31)))
        terms = self.step(draw.rng)
        self.terms = {name: value.detach() for name, value in terms.items()}
        return terms["loss"][None]


@dataclass
class Loop:
    """State of one stage: modules, averaged weights, steps, time and the loss curve."""

    name: str
    modules: Sequence[nn.Module]
    settings: TrainSettings
    work: Path
    seconds: float = 0.0
    """Worked so far, over all runs."""
    steps: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.weights = dict(nn.ModuleList(self.modules).named_parameters())
        self.average = {name: weight.detach().clone() for name, weight in self.weights.items()}
        self.path = self.work / f"{self.name}.pt"

    def run(self, step: Step, *, seed: int) -> None:
        """Optimise until the budget is spent, then leave the averaged weights in the modules."""
        engine = PlainEngine[Draw](Stage(self.modules, step), self.settings)
        if self.path.is_file():
            self._resume(engine, torch.load(self.path, weights_only=True))
        last_saved = last_logged = self.seconds
        sums: dict[str, float] = {}
        since = 0
        while self.steps < self.settings.steps:
            started = time.monotonic()
            terms = self._advance(engine, Draw(np.random.default_rng([seed, self.steps]), (f"{self.name} {self.steps}",)))
            self.seconds += time.monotonic() - started
            since += 1
            sums = {key: sums.get(key, 0.0) + float(value) for key, value in terms.items()}
            if self.seconds - last_logged > LOG_SECONDS or self.steps == self.settings.steps:
                self._log({key: value / since for key, value in sums.items()})
                sums, since, last_logged = {}, 0, self.seconds
            if self.seconds - last_saved > CHECKPOINT_SECONDS:
                self._save(engine)
                last_saved = self.seconds
        self._save(engine)
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(self.average[name])

    def _advance(self, engine: PlainEngine[Draw], draw: Draw) -> dict[str, Tensor]:
        engine.update([draw], learning_rate(self.settings, self.steps))
        self.steps += 1
        decay = min(self.settings.ema_decay, (1 + self.steps) / (10 + self.steps))
        weights = [weight.detach() for weight in self.weights.values()]
        torch._foreach_lerp_(list(self.average.values()), weights, 1 - decay)
        stage = engine.objective
        assert isinstance(stage, Stage)
        return stage.terms

    def _save(self, engine: PlainEngine[Draw]) -> None:
        """Write the checkpoint beside the old one, then replace it."""
        self.work.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        state = {"weights": {name: weight.detach() for name, weight in self.weights.items()}, "average": self.average}
        counts = {"steps": self.steps, "seconds": self.seconds, "curve": self.curve}
        torch.save({**state, **counts, "optimizer": engine.optimizer_state()}, temporary)
        temporary.replace(self.path)

    def _resume(self, engine: PlainEngine[Draw], state: dict[str, Any]) -> None:
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(state["weights"][name])
        engine.load_optimizer_state(state["optimizer"])
        self.average = state["average"]
        self.steps, self.seconds, self.curve = state["steps"], state["seconds"], state["curve"]
        log.info("%s: resumed at step %d after %.1f min", self.name, self.steps, self.seconds / 60)

    def _log(self, means: dict[str, float]) -> None:
        entry = {"step": float(self.steps), "minutes": round(self.seconds / 60, 2)} | {k: round(v, 5) for k, v in means.items()}
        self.curve.append(entry)
        log.info("%s %s", self.name, json.dumps(entry))
