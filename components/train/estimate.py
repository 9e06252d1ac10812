"""What a run will take: time, device hours, cost; and how much of a device its arithmetic uses."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from components.train.settings import TrainSettings

if TYPE_CHECKING:
    from components.train.batches import Batch
    from components.train.objective import Objective

WARM_STEPS = 2
"""Updates that are not measured: the first ones load kernels and allocate."""
MEASURED_STEPS = 5


@dataclass
class Forecast:
    """Collects what updates and pauses take, and says what is left."""

    settings: TrainSettings
    begun_at: int
    """Updates done before this process started."""
    step: int = 0
    steps: list[float] = field(default_factory=list)
    """Seconds of the measured updates."""
    pauses: dict[str, list[float]] = field(default_factory=dict)
    """`checkpoint`, `validation` -> seconds of each."""
    said: int = 0

    def update(self, step: int, seconds: float) -> dict[str, Any] | None:
        """Take one update; gives the estimate when enough are measured, once."""
        self.step = step
        if step - self.begun_at > WARM_STEPS:
            self.steps.append(seconds)
        return self._say(1) if len(self.steps) == MEASURED_STEPS else None

    def pause(self, kind: str, seconds: float) -> dict[str, Any] | None:
        """Take a checkpoint or a validation; gives the estimate again when the first of the validations is known."""
        self.pauses.setdefault(kind, []).append(seconds)
        return self._say(2) if kind == "validation" and len(self.steps) >= MEASURED_STEPS else None

    def _say(self, times: int) -> dict[str, Any] | None:
        left = self.settings.steps - self.step
        if self.said >= times or left <= 0:
            return None
        self.said = times
        every = {"checkpoint": self.settings.checkpoint_every_steps, "validation": self.settings.validate_every_steps}
        seconds = left * statistics.median(self.steps)
        for kind, taken in self.pauses.items():
            seconds += left / every[kind] * statistics.median(taken)
        unknown = self.settings.validate_every_steps > 0 and "validation" not in self.pauses
        return figures(self.settings, seconds, left=left, unknown="; validations come on top" if unknown else "")


def figures(settings: TrainSettings, seconds: float, *, left: int, unknown: str = "") -> dict[str, Any]:
    """The estimate as numbers and as a sentence.

    Args:
        settings: number of processes and their price.
        seconds: that are left.
        left: updates that are left.
        unknown: what the sentence ends with.
    """
    hours = seconds / 3600
    device_hours = hours * settings.processes
    known: dict[str, Any] = {"seconds_left": seconds, "steps_left": left, "device_hours": device_hours}
    cost = ""
    if settings.price_per_hour:
        known["cost"] = device_hours * settings.price_per_hour
        cost = f", cost {known['cost']:.2f}"
    many = "process" if settings.processes == 1 else "processes"
    text = f"{left} updates left: about {duration(seconds)} on {settings.processes} {many}, {device_hours:.3g} device hours"
    return {"text": f"{text}{cost}{unknown}.", **known}


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h` or `2.1 days`."""
    for size, unit, digits in ((86400 * 2, "days", 1), (7200, "h", 1), (120, "min", 0)):
        if seconds >= size:
            return f"{seconds / {'days': 86400, 'h': 3600, 'min': 60}[unit]:.{digits}f} {unit}"
    return f"{math.ceil(seconds)} s"


def count_flops(objective: Objective, batch: Batch) -> int:
    """Floating point operations of one forward and backward pass: products and convolutions of network and adapter.

    What the frozen parts do before (LRP, latent, image features) and the optimiser are not in it. Nothing is changed:
    gradients are computed and dropped.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    weights: Sequence[torch.nn.Parameter] = list(objective.adapter.parameters())
    listener, objective.listener = objective.listener, None
    with FlopCounterMode(display=False) as counter:
        torch.autograd.grad(objective(batch).mean(), weights, allow_unused=True)
    objective.listener = listener
    return int(counter.get_total_flops())
