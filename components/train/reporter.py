"""Adds to a process' events what they are worth together: time by phase, arithmetic rate, what is left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from components.train.estimate import Forecast
from components.train.events import Emit
from components.train.settings import TrainSettings

PAUSES = ("checkpoint", "validation")
TERA = 1e12


class Reporter:
    """Stands between a run and its `emit`; called in the same way."""

    def __init__(self, emit: Emit, settings: TrainSettings) -> None:
        """Start the clock where the process started."""
        self.emit, self.settings = emit, settings
        self.spent: dict[str, float] = {"imports": time.time() - psutil.Process().create_time()}
        self.flops = 0
        """Of one forward and backward pass; 0 while it is unknown."""
        self.forecast = Forecast(settings, begun_at=0)

    def begin(self, step: int) -> None:
        """Say how many updates were done before this process."""
        self.forecast = Forecast(self.settings, begun_at=step)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time inside to a phase."""
        started = time.monotonic()
        try:
            yield
        finally:
            self._add(name, time.monotonic() - started)

    def __call__(self, event: str, **values: Any) -> None:
        """Pass an event on, with what is known about it."""
        estimate = None
        if event == "step":
            values |= self._rates(values["seconds"])
            waited = values["seconds"] * values["data_share"]
            self._add("data wait", waited)
            self._add("steps", values["seconds"] - waited)
            estimate = self.forecast.update(values["step"], values["seconds"])
        if event in PAUSES:
            # a checkpoint is written while training goes on; what it holds up is the copying
            paused = values.get("held_seconds", values["seconds"])
            self._add(event, paused)
            estimate = self.forecast.pause(event, paused)
        self.emit(event, **values)
        if estimate is not None:
            self.emit("estimate", **estimate)

    def account(self) -> None:
        """Say what every phase took so far."""
        self.emit("spent", seconds={name: round(seconds, 3) for name, seconds in self.spent.items()})

    def _rates(self, seconds: float) -> dict[str, float]:
        """Arithmetic of one process in one update."""
        if not self.flops:
            return {}
        rate = self.flops * self.settings.accumulation / seconds / TERA
        return {"tflops": rate, **({"flops_share": rate / self.settings.peak_tflops} if self.settings.peak_tflops else {})}

    def _add(self, name: str, seconds: float) -> None:
        self.spent[name] = self.spent.get(name, 0.0) + seconds
