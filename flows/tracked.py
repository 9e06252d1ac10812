"""A training seen by MLflow: parameters, data, curves, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from components.records import PairSet, content_hash
from flows.workspace import Workspace, git_revision

POINTS = 200
"""Points of a curve, at most twice as many."""
CURVES = ("loss", "learning_rate", "grad_norm", "samples_per_second", "data_share")


@contextmanager
def tracked_training(workspace: Workspace, pairs: PairSet) -> Iterator[tuple[str, Callable[[Mapping[str, Any]], None]]]:
    """Open the MLflow run of a training, a killed one's included, and close it as it ended.

    Args:
        workspace: profile and tracker.
        pairs: what is trained on.

    Yields:
        (run id, listener for the training's events).
    """
    tracker, profile = workspace.tracker, workspace.profile
    dataset = pairs.curation.dataset
    key = content_hash("train", pairs.manifest.sha256, profile.train, workspace.base_hashes)
    tags = {
        "lucidflux.dataset_version": dataset.dvc_md5,
        "lucidflux.pairs_manifest": pairs.manifest.sha256,
        "lucidflux.settings": content_hash(profile),
        "lucidflux.git_revision": git_revision(),
        "lucidflux.command": f"lucidflux --profile {profile.name} train {pairs.manifest.sha256[:12]}",
    }
    run_id = tracker.start_run(key, name=f"train-{key[:8]}", settings=profile.model_dump(mode="json"), tags=tags)
    tracker.log_input(run_id, name=dataset.name, digest=dataset.dvc_md5, source=dataset.manifest.uri, context="training")
    tracker.log_input(run_id, name="pairs", digest=pairs.manifest.sha256, source=pairs.manifest.uri, context="training")
    every = max(1, profile.train.steps // POINTS)

    def listen(event: Mapping[str, Any]) -> None:
        if event["event"] == "step" and (event["step"] % every == 0 or event["step"] in (1, profile.train.steps)):
            tracker.log_metrics(run_id, int(event["step"]), {name: event[name] for name in CURVES if event.get(name) is not None})

    try:
        yield run_id, listen
    except BaseException as error:
        tracker.end_run(run_id, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    tracker.end_run(run_id)
