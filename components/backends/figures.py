"""What Prometheus is told about trainings and batches: names, units, and how they follow from what happens.

The dashboard and the alerts in infra/observability use these names and no others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from components.backends.exporter import exported
from components.records import Progress

GIB = 2**30
OUTCOMES = ("restored", "reused", "failed")
"""What became of a picture of a batch."""
SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 150, 600)
"""Bounds of the histogram of seconds per picture: from small pictures on a GPU to large ones on a CPU."""


class Figures:
    """What trainings and batches have in common: they run, are heard of, and end well or not."""

    job = ""

    def __init__(self) -> None:
        """Begin with nothing done; each has a registry of its own."""
        self.registry = CollectorRegistry()
        self._running = self._gauge("running", "1 from the start to the end; a killed one stays 1 and is not heard of any more.")
        self._failed = self._gauge("failed", "1 when it ended with an error.")
        self._heard = self._gauge("event_timestamp_seconds", "Time of the last sign of life.")

    @contextmanager
    def told(self, address: str) -> Iterator[Self]:
        """Let Prometheus have these figures while the block runs, and how it ended; see exporter.exported for the address."""
        self._running.set(1)
        self._heard.set_to_current_time()
        with exported(address, self.registry, job=self.job):
            try:
                yield self
            except BaseException:
                self._failed.set(1)
                raise
            finally:
                self._running.set(0)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"lucidflux_{self.job}_{name}", text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"lucidflux_{self.job}_{name}", text, labels, registry=self.registry)


class TrainingFigures(Figures):
    """Listener of a training's events (components/train/events)."""

    job = "training"

    def __init__(self, steps: int) -> None:
        """Begin with nothing done.

        Args:
            steps: updates that the training is to make.
        """
        super().__init__()
        self._step = self._gauge("step", "Updates done.")
        self._gauge("steps", "Updates that the training is to make.").set(steps)
        self._steady = {
            name: self._gauge(name, text)
            for name, text in {
                "loss": "Loss of the last update.",
                "learning_rate": "Learning rate of the last update.",
                "grad_norm": "Norm of the gradient before clipping.",
                "samples_per_second": "Training pairs per second over all processes.",
                "data_share": "Share of an update's time that went by waiting for data.",
            }.items()
        }
        self._seconds = self._gauge("step_seconds", "Seconds that the last update took.")
        self._memory = self._gauge("memory_bytes", "Peak memory of an accelerator, the largest of any process.")
        self._left = self._gauge("left_seconds", "Seconds that are probably left.")
        self._scores = self._gauge("validation_score", "Mean score on the validation pictures.", "metric")
        self._checkpoint = self._gauge("checkpoint_timestamp_seconds", "Time of the last checkpoint.")

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take one event; unknown ones are a sign of life and nothing else."""
        self._heard.set_to_current_time()
        kind = event["event"]
        if kind == "step":
            self._take_step(event)
        elif kind == "estimate" and event.get("seconds_left") is not None:
            self._left.set(event["seconds_left"])
        elif kind == "validation":
            for name, score in event["scores"].items():
                self._scores.labels(name).set(score["mean"])
        elif kind == "checkpoint":
            self._checkpoint.set_to_current_time()

    def _take_step(self, event: Mapping[str, Any]) -> None:
        self._step.set(event["step"])
        self._seconds.set(event["seconds"])
        for name, gauge in self._steady.items():
            if event.get(name) is not None:
                gauge.set(event[name])
        if event.get("gpu_memory_gib") is not None:
            self._memory.set(event["gpu_memory_gib"] * GIB)


class BatchFigures(Figures):
    """What a batch of restorations counts; safe to call from several threads.

    Where pictures are restored in other processes, the one that waits for them knows how many are done and, at the end, what
    became of them: `watching` and `ended`. Where each picture is seen, `picture` and `phase` tell more; not both of one picture.
    """

    job = "restore"

    def __init__(self) -> None:
        """Begin with nothing done."""
        super().__init__()
        self._planned = self._gauge("planned", "Pictures of the batch, as far as listed.")
        self._done = self._gauge("done", "Pictures of the batch that are done, by whomever and whenever.")
        self._pictures = self._counter("pictures", "Pictures by what became of them.", "outcome")
        for outcome in OUTCOMES:  # a rate needs a zero to start from
            self._pictures.labels(outcome)
        self._review = self._counter("review", "Pictures that wait for a person, restored or reused.")
        self._seconds = Histogram(
            "lucidflux_restore_picture_seconds",
            "Seconds that one picture took in the network.",
            registry=self.registry,
            buckets=SECONDS,
        )
        self._phases = self._counter("phase_seconds", "Seconds by phase; phases overlap.", "phase")
        self._smaller = self._counter("smaller_tiles", "Times that memory was short and tiles were made smaller.")

    def watching(self, progress: Progress) -> Progress:
        """Pass a batch's progress on, and keep how far it is.

        Args:
            progress: called with (phase, done, total); the phase `restore` counts pictures.
        """

        def watch(phase: str, done: int, total: int) -> None:
            if phase == self.job:
                self._done.set(done)
                self._planned.set(total)
                self._heard.set_to_current_time()
            progress(phase, done, total)

        return watch

    def ended(self, counts: Mapping[str, int]) -> None:
        """Count what became of the pictures.

        Args:
            counts: by outcome, and `review`; other names are left alone.
        """
        for outcome in OUTCOMES:
            self._pictures.labels(outcome).inc(counts.get(outcome, 0))
        self._review.inc(counts.get("review", 0))

    def picture(self, outcome: str, seconds: float | None = None, *, review: bool = False) -> None:
        """Count a picture.

        Args:
            outcome: one of OUTCOMES.
            seconds: what it took in the network; None when it was not there.
            review: it waits for a person.
        """
        self._pictures.labels(outcome).inc()
        self._review.inc(int(review))
        self._heard.set_to_current_time()
        if seconds is not None:
            self._seconds.observe(seconds)

    def phase(self, name: str, seconds: float) -> None:
        """Add to the time of a phase: `read`, `decode`, `restore`, `encode` or `write`."""
        self._phases.labels(name).inc(seconds)

    def smaller_tiles(self) -> None:
        """Count a picture that had to be cut into smaller tiles."""
        self._smaller.inc()


def exported_names() -> set[str]:
    """Every name that Prometheus gets from here, with the suffixes that counters and histograms have there."""
    found: set[str] = set()
    for figures in (TrainingFigures(steps=1), BatchFigures()):
        for metric in figures.registry.collect():
            suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(metric.type, ("",))
            found |= {f"{metric.name}{suffix}" for suffix in suffixes}
    return found
