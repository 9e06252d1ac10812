"""A training seen by MLflow: parameters, data, code, the command that repeats it, and how it ended."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from components.backends.figures import TrainingFigures
from components.errors import SettingsError
from components.records import PairSet, content_hash
from flows.settings import Profile, load
from flows.usage import sampled_usage
from flows.watched import Watched
from flows.workspace import Workspace, git_revision


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
    dataset, revision = pairs.curation.dataset, git_revision()
    key = content_hash("train", pairs.manifest.sha256, profile.train, workspace.base_hashes)
    tags = {
        "lucidflux.dataset_version": dataset.dvc_md5,
        "lucidflux.pairs_manifest": pairs.manifest.sha256,
        "lucidflux.settings": content_hash(profile),
        "lucidflux.git_revision": revision,
        "lucidflux.command": command(profile, pairs.manifest.sha256[:12]),
        "mlflow.source.git.commit": revision.partition("+")[0],
    }
    run_id = tracker.start_run(key, name=f"train-{key[:8]}", settings=profile.model_dump(mode="json"), tags=tags)
    tracker.log_input(run_id, name=dataset.name, digest=dataset.dvc_md5, source=dataset.manifest.uri, context="training")
    tracker.log_input(run_id, name="pairs", digest=pairs.manifest.sha256, source=pairs.manifest.uri, context="training")
    watched, figures = Watched(tracker, run_id, profile.train), TrainingFigures(profile.train.steps)

    def listen(event: Mapping[str, Any]) -> None:
        figures(event)
        watched(event)

    try:
        with ExitStack() as watching:
            watching.enter_context(tracker.system_metrics(run_id))
            watching.enter_context(sampled_usage(lambda step, usage: tracker.log_metrics(run_id, step, usage)))
            watching.enter_context(figures.told(profile.backend.metrics))
            yield run_id, listen
    except BaseException as error:
        tracker.end_run(run_id, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    tracker.end_run(run_id)


def command(profile: Profile, pairs: str) -> str:
    """The command line that trains with these settings: those of the named profile, and every difference from it."""
    name = profile.name
    try:
        named = load(name)
    except SettingsError:  # a file of the user's own; written as differences from one that everybody has
        name = "tiny"
        named = load(name)
    usual = leaves(named.model_dump(mode="json", exclude={"name"}))
    changed = {
        key: value for key, value in leaves(profile.model_dump(mode="json", exclude={"name"})).items() if value != usual.get(key)
    }
    sets = [f"--set {shlex.quote(f'{key}={json.dumps(value)}')}" for key, value in changed.items() if value is not None]
    return " ".join(["lucidflux", "--profile", name, *sets, "train", pairs])


def leaves(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as `group.name` -> value."""
    listed: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            listed |= leaves(value, f"{prefix}{name}.")
        else:
            listed[f"{prefix}{name}"] = value
    return listed
