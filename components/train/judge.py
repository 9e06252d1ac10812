"""What validations of one run found: kept in a file beside the checkpoints, so that a resumed run decides the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from components.errors import SettingsError
from components.imaging import iqa
from components.imaging.benchmarks import BENCHMARKS
from components.records import Record
from components.train.job import write_text
from components.train.settings import TrainSettings

HISTORY_FILE = "validations.json"


class Score(Record):
    """Mean of one metric over the held-out pictures, with its 95 % bootstrap interval over pictures."""

    mean: float
    lower: float
    upper: float
    n: int
    """Pictures that have a score."""


class Validated(Record):
    """One validation; a metric that no picture has is left out."""

    step: int
    scores: dict[str, Score]
    """`val.<benchmark>.<metric>` -> score."""


def name_of(benchmark: str, metric: str) -> str:
    """Name of one score."""
    return f"val.{benchmark}.{metric}"


def names(settings: TrainSettings) -> list[str]:
    """Scores that the settings ask for."""
    return [name_of(benchmark, metric) for benchmark in settings.validation_benchmarks for metric in settings.validation_metrics]


def require(settings: TrainSettings) -> None:
    """Refuse settings of validation that mean nothing.

    Raises:
        UnknownName: there is no such metric or benchmark.
        SettingsError: something judges by a validation or a score that there is not.
    """
    for metric in settings.validation_metrics:
        iqa.info(metric)
    for benchmark in settings.validation_benchmarks:
        if benchmark not in BENCHMARKS:
            raise SettingsError(f"train.validation_benchmarks names '{benchmark}'; known are {', '.join(BENCHMARKS)}.")
    if not settings.judged:
        return
    if not settings.validate_every_steps:
        raise SettingsError("train.keep_best and train.early_stop_patience need validations; set train.validate_every_steps.")
    if settings.best_metric not in names(settings):
        raise SettingsError(f"train.best_metric = '{settings.best_metric}' is not validated; it is one of {names(settings)}.")


def best_of(validated: Sequence[Validated], metric: str) -> Validated | None:
    """The best by one score, the earliest of equals; None where none has the score."""
    known = [one for one in validated if metric in one.scores]
    if not known:
        return None
    sign = 1 if iqa.info(metric.rpartition(".")[2]).higher_is_better else -1
    return max(known, key=lambda one: (sign * one.scores[metric].mean, -one.step))


class History:
    """The validations of a run so far."""

    def __init__(self, folder: Path, settings: TrainSettings, *, done: int) -> None:
        """Read those up to the update that the run goes on from; later ones come again.

        Args:
            folder: of the run.
            settings: of the run.
            done: updates done.
        """
        self.path, self.settings = folder / HISTORY_FILE, settings
        self.validated = [one for one in self._read() if one.step <= done]

    def has(self, step: int) -> bool:
        """Whether an update was validated."""
        return any(one.step == step for one in self.validated)

    def add(self, validated: Validated) -> None:
        """Keep one more."""
        self.validated.append(validated)
        write_text(self.path, json.dumps([one.model_dump(mode="json") for one in self.validated]))

    @property
    def best(self) -> Validated | None:
        """The best one by `best_metric`."""
        return best_of(self.validated, self.settings.best_metric)

    @property
    def exhausted(self) -> bool:
        """The last `early_stop_patience` validations were no better than the best one before."""
        patience, best = self.settings.early_stop_patience, self.best
        since = sum(one.step > best.step for one in self.validated) if best else len(self.validated)
        return 0 < patience <= since

    def _read(self) -> list[Validated]:
        try:
            return [Validated.model_validate(one) for one in json.loads(self.path.read_text(encoding="utf-8"))]
        except FileNotFoundError:
            return []
        except (ValueError, ValidationError):
            # written whole or not at all, so this is of another version; they come again
            return []


def notes_of(history: History, settings: TrainSettings, *, ended_at: int) -> tuple[str, ...]:
    """What validation decided, in sentences; empty where it decided nothing.

    Args:
        history: all validations of the run.
        settings: of the run.
        ended_at: updates done.
    """
    found, name = history.best, settings.best_metric
    if found is None or not settings.judged:
        return ()
    score = found.scores[name]
    known = f"{name} = {score.mean:.4g} ({score.lower:.4g} to {score.upper:.4g}, n = {score.n}) after update {found.step}"
    notes = [f"these weights are those of the best validation, {known}"] if settings.keep_best else []
    if ended_at < settings.steps:
        patience = f"{settings.early_stop_patience} validations were no better than {known}"
        notes.append(f"ended after update {ended_at} of {settings.steps}: {patience}")
    return tuple(notes)
