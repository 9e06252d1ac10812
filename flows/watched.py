"""What a training says on the way, put where people look: MLflow, Prefect, the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prefect.logging import get_logger

from components.backends.tracking import Tracker
from components.train.settings import TrainSettings
from flows.progress import say

POINTS = 200
"""Points of a curve, at most twice as many."""
CURVES = (
    "loss",
    "loss_velocity",
    "loss_pixel",
    "loss_gradient",
    "learning_rate",
    "grad_norm",
    "samples_per_second",
    "data_share",
    "seconds",
    "memory_gib",
    "gpu_memory_gib",
    "tflops",
    "flops_share",
)
JPEG_QUALITY = 85
GRID_PX = 900
"""Longer side of the grid in a Prefect artifact, which holds the picture itself."""


class Watched:
    """Listener of one training's events."""

    def __init__(self, tracker: Tracker, run_id: str, settings: TrainSettings) -> None:
        self.tracker, self.run_id, self.settings = tracker, run_id, settings
        self.every = max(1, settings.steps // POINTS)
        self.sums: Counter[int] = Counter()
        self.counts: Counter[int] = Counter()
        self.step = 0

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take one event; unknown ones are no concern of this listener."""
        takers: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "step": self._step,
            "validation": self._validation,
            "estimate": self._estimate,
            "spent": self._spent,
            "done": self._done,
        }
        if taker := takers.get(event["event"]):
            taker(event)

    def _step(self, event: Mapping[str, Any]) -> None:
        self.step = int(event["step"])
        for number, (mean, count) in enumerate(zip(event["loss_by_time"], event["count_by_time"], strict=True)):
            self.counts[number] += count
            self.sums[number] += (mean or 0.0) * count
        if self.step % self.every == 0 or self.step in (1, self.settings.steps):
            figures = {name: event[name] for name in CURVES if event.get(name) is not None}
            # means over all updates since the last point: a single one has few samples in each part
            figures |= {f"loss_t{number}": self.sums[number] / count for number, count in self.counts.items() if count}
            self.sums.clear()
            self.counts.clear()
            self.tracker.log_metrics(self.run_id, self.step, figures)

    def _validation(self, event: Mapping[str, Any]) -> None:
        step = int(event["step"])
        figures: dict[str, float] = {}
        for name, score in event["scores"].items():
            figures |= {name: score["mean"], f"{name}.lower": score["lower"], f"{name}.upper": score["upper"]}
        self.tracker.log_metrics(self.run_id, step, figures)
        self.tracker.log_artifact(self.run_id, Path(event["grid"]), "validation")
        told = ", ".join(
            f"{name} {score['mean']:.4g} ({score['lower']:.4g} to {score['upper']:.4g})"
            for name, score in event["scores"].items()
        )
        say.get()(f"validation after update {step}: {told}{'; the best so far' if event['best'] else ''}")
        show_grid(Path(event["grid"]), f"validation-{self.run_id[:8]}", f"Update {step}: {told}")

    def _estimate(self, event: Mapping[str, Any]) -> None:
        say.get()(str(event["text"]))
        figures = {f"estimate.{name}": event[name] for name in ("seconds_left", "device_hours", "cost") if name in event}
        self.tracker.log_metrics(self.run_id, self.step, figures)
        self.tracker.set_tags(self.run_id, {"lucidflux.estimate": str(event["text"])})

    def _spent(self, event: Mapping[str, Any]) -> None:
        named = {f"spent.{phase.replace(' ', '_')}": seconds for phase, seconds in event["seconds"].items()}
        self.tracker.log_metrics(self.run_id, self.step, named)

    def _done(self, event: Mapping[str, Any]) -> None:
        for note in event["notes"]:
            say.get()(note)
        if event["notes"]:
            self.tracker.set_tags(self.run_id, {"lucidflux.notes": "; ".join(event["notes"])})


def show_grid(grid: Path, key: str, description: str) -> None:
    """Make a grid an image artifact of the Prefect run that is under way, if one is.

    The artifact asks for an address; it gets one that holds a small copy of the picture, so that it can be seen wherever
    the server is.
    """
    from prefect.artifacts import create_image_artifact
    from prefect.context import FlowRunContext, TaskRunContext

    if TaskRunContext.get() is None and FlowRunContext.get() is None:
        return
    from components.backends.report import data_uri, thumbnail
    from components.imaging import codec

    small_u8 = thumbnail(codec.decode(grid.read_bytes(), limits=codec.STORED).image_u8, GRID_PX)
    try:
        create_image_artifact(image_url=data_uri(codec.encode_jpeg(small_u8, JPEG_QUALITY)), key=key, description=description)
    except Exception as error:
        get_logger("lucidflux").warning("the grid of the validation could not be kept by Prefect: %s", error)
