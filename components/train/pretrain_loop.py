"""One timed, resumable optimisation: the loop that every stage of the pre-training shares.

The budget is wall time, not steps, so the learning rate follows the elapsed share of it.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

Step = Callable[[np.random.Generator], dict[str, Tensor]]
"""Draws its own batch and returns the terms; `loss` is the one that is minimised."""


@dataclass(frozen=True)
class Budget:
    """Shape of one stage's optimisation."""

    minutes: float
    learning_rate: float
    """Peak AdamW rate, after 60 warm-up steps; falls as a cosine to 3 % of it."""
    ema_decay: float = 0.995
    """Decay of the averaged weights, which are the ones that are kept."""
    weight_decay: float = 0.01
    checkpoint_seconds: float = 60.0


@dataclass
class TimedLoop:
    """State of one stage: modules, optimiser, averaged weights, elapsed time and the loss curve."""

    name: str
    modules: Sequence[nn.Module]
    budget: Budget
    work: Path
    elapsed: float = 0.0
    steps: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bundle = nn.ModuleList(self.modules)
        self.parameters: list[Tensor] = [p for p in self.bundle.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=self.budget.learning_rate, betas=(0.9, 0.98), weight_decay=self.budget.weight_decay
        )
        self.average = [p.detach().clone() for p in self.parameters]
        self.path = self.work / f"{self.name}.pt"
        if self.path.is_file():
            self._resume(torch.load(self.path, weights_only=True))

    def _resume(self, state: dict[str, Any]) -> None:
        self.bundle.load_state_dict(state["modules"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average = state["average"]
        self.elapsed, self.steps, self.curve = state["elapsed"], state["steps"], state["curve"]
        log.info("%s: resumed at step %d after %.1f min", self.name, self.steps, self.elapsed / 60)

    def save(self) -> None:
        """Write the checkpoint beside the old one, then replace it."""
        self.work.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        torch.save(
            {
                "modules": self.bundle.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "average": self.average,
                "elapsed": self.elapsed,
                "steps": self.steps,
                "curve": self.curve,
            },
            temporary,
        )
        temporary.replace(self.path)

    def run(self, step: Step, *, seed: int) -> None:
        """Optimise until the budget is spent, then leave the averaged weights in the modules."""
        limit = self.budget.minutes * 60
        last_saved = last_logged = self.elapsed
        sums: dict[str, float] = {}
        since = 0
        while self.elapsed < limit:
            started = time.monotonic()
            terms = self._advance(step, np.random.default_rng([seed, self.steps]), self.elapsed / limit)
            self.elapsed += time.monotonic() - started
            since += 1
            for key, value in terms.items():
                sums[key] = sums.get(key, 0.0) + float(value)
            if self.elapsed - last_logged > 15 or self.elapsed >= limit:
                self._log({key: value / since for key, value in sums.items()})
                sums, since, last_logged = {}, 0, self.elapsed
            if self.elapsed - last_saved > self.budget.checkpoint_seconds:
                self.save()
                last_saved = self.elapsed
        self.save()
        with torch.no_grad():
            for parameter, mean in zip(self.parameters, self.average, strict=True):
                parameter.copy_(mean)

    def _advance(self, step: Step, rng: np.random.Generator, share: float) -> dict[str, Tensor]:
        warm = min(1.0, (self.steps + 1) / 60)
        rate = self.budget.learning_rate * warm * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * min(share, 1.0))))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        torch.manual_seed(int(rng.integers(2**31)))
        terms = step(rng)
        self.optimiser.zero_grad(set_to_none=True)
        terms["loss"].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.steps += 1
        decay = min(self.budget.ema_decay, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.parameters, 1 - decay)
        return {key: value.detach() for key, value in terms.items()}

    def _log(self, means: dict[str, float]) -> None:
        entry = {"step": float(self.steps), "minutes": round(self.elapsed / 60, 2)} | {k: round(v, 5) for k, v in means.items()}
        self.curve.append(entry)
        log.info("%s %s", self.name, json.dumps(entry))
