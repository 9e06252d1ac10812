"""Flow `train`: pairs -> a trained adapter and its MLflow run."""

from __future__ import annotations

from prefect import flow

from components.records import PairSet, TrainRun
from flows import tasks
from flows.workspace import open_workspace


@flow(name="train")
def train(pairs: PairSet, profile: str = "tiny", overrides: list[str] | None = None, home: str = "") -> TrainRun:
    """Train the adapter on a frozen backbone; a killed run goes on from its last checkpoint.

    Args:
        pairs: what `synthesize` gave.
        profile: name of a profile.
        overrides: `key=value` settings.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
    """
    workspace = open_workspace(profile, overrides, home)
    return tasks.run(tasks.train_adapter, workspace, pairs)
