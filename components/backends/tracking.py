"""MLflow runs, over the registry of registry.py; the two are the home of mlflow apart from register/model.py."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

from components.backends.registry import KEY_TAG, Registry

SYSTEM_SECONDS = 30
"""Between samples of what the machine does."""


class Tracker(Registry):
    """Runs and model versions behind one MLflow tracking URI."""

    def __init__(self, uri: str, *, artifact_root: Path, experiment: str) -> None:
        """See Registry."""
        super().__init__(uri, artifact_root=artifact_root, experiment=experiment)
        self._steps: dict[tuple[str, str], int] = {}

    def start_run(self, key: str, *, name: str, settings: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """Give the run of a key: the one that a killed process left, or a new one.

        Args:
            key: content key of everything that decides the run.
            name: shown in MLflow.
            settings: nested settings; logged flat, as `train.steps`.
            tags: shown in MLflow.

        Returns:
            The id of the run.
        """
        with self.asking("start a run"):
            from mlflow.entities import Param

            found = self.client.search_runs(
                [self.experiment_id], f"tags.`{KEY_TAG}` = '{key}'", order_by=["attributes.start_time ASC"], max_results=1
            )
            if found:
                run = found[0]
                self.client.update_run(run.info.run_id, status="RUNNING")
            else:
                run = self.client.create_run(self.experiment_id, tags={KEY_TAG: key, **tags}, run_name=name)
            run_id = str(run.info.run_id)
            new = [Param(name, text) for name, text in flat(settings).items() if name not in run.data.params]
            for start in range(0, len(new), 100):
                self.client.log_batch(run_id, params=new[start : start + 100])
            return run_id

    def log_metrics(self, run_id: str, step: int, metrics: Mapping[str, float]) -> None:
        """Log numbers of one step; a step that an earlier process logged is not logged twice."""
        with self.asking("log metrics"):
            from mlflow.entities import Metric

            now = int(time.time() * 1000)
            new = [Metric(name, float(value), now, step) for name, value in metrics.items() if step > self._logged(run_id, name)]
            if new:
                self.client.log_batch(run_id, metrics=new)

    def _logged(self, run_id: str, name: str) -> int:
        """Last step of a metric when this process first asked."""
        if (run_id, name) not in self._steps:
            history = self.client.get_metric_history(run_id, name)
            self._steps[run_id, name] = max((point.step for point in history), default=-1)
        return self._steps[run_id, name]

    def history(self, run_id: str, name: str) -> list[tuple[float, float]]:
        """(step, value) of a metric, in the order of the steps; empty when it was never logged."""
        with self.asking("read metrics"):
            points = self.client.get_metric_history(run_id, name)
            return sorted((float(point.step), float(point.value)) for point in points)

    def log_input(self, run_id: str, *, name: str, digest: str, source: str, context: str) -> None:
        """Say which data a run read.

        Args:
            run_id: the run.
            name: of the dataset.
            digest: its own content hash; MLflow keeps the first 36 characters.
            source: logical address of the data.
            context: `training` or `evaluation`.
        """
        with self.asking("log an input"):
            from mlflow.entities import Dataset, DatasetInput, InputTag

            dataset = Dataset(name=name, digest=digest[:36], source_type="lucidflux", source=source)
            known = [entry.dataset for entry in self.client.get_run(run_id).inputs.dataset_inputs]
            if not any((entry.name, entry.digest) == (dataset.name, dataset.digest) for entry in known):
                self.client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])

    def log_artifact(self, run_id: str, path: Path, folder: str = "") -> None:
        """Copy a file to a run."""
        with self.asking("keep an artifact"):
            self.client.log_artifact(run_id, str(path), folder or None)

    def log_text(self, run_id: str, text: str, name: str) -> None:
        """Write a text file of a run, for example `report.html`."""
        with self.asking("keep an artifact"):
            self.client.log_text(run_id, text, name)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run, in place of earlier ones of the same names."""
        with self.asking("set tags"):
            for name, text in tags.items():
                self.client.set_tag(run_id, name, text)

    @contextmanager
    def system_metrics(self, run_id: str) -> Iterator[None]:
        """Have MLflow log what this machine does while the block runs: processor, memory, disk, network, GPUs it knows.

        It goes on where an earlier process stopped. What it cannot log it says in the log, and the block goes on.
        """
        log = logging.getLogger("mlflow.system_metrics")
        log.setLevel(logging.WARNING)
        _ = self.client  # mlflow is imported with its telemetry off
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        with ExitStack() as watching:
            try:
                monitor: Any = cast("Any", SystemMetricsMonitor)(
                    run_id, SYSTEM_SECONDS, resume_logging=True, tracking_uri=self.uri
                )
                monitor.start()
                watching.callback(monitor.finish)
            except Exception as error:
                log.warning("what the machine does is not logged: %s", error)
            yield

    def end_run(self, run_id: str, status: str = "FINISHED") -> None:
        """Close a run as FINISHED, FAILED or KILLED."""
        with self.asking("end a run"):
            self.client.set_terminated(run_id, status)


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as `group.name` -> text."""
    listed: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            listed |= flat(value, f"{prefix}{name}.")
        else:
            listed[f"{prefix}{name}"] = str(value)
    return listed
