"""A training as MLflow and Prometheus see it."""

import socket
import urllib.request

import pytest

from flows.tracked import tracked_training
from flows.workspace import open_workspace
from tests.records import train_run

pytestmark = pytest.mark.e2e

PAIRS = train_run().pairs


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("LUCIDFLUX_STATE", "postgresql://lucidflux:c4nary@127.0.0.1:1/lucidflux")
    return open_workspace("tiny", [f"backend.metrics=127.0.0.1:{free_port()}"], str(tmp_path))


def test_figures_are_served_while_a_training_runs_and_mlflow_keeps_no_password(workspace):
    step = {"event": "step", "step": 3, "loss": 0.5, "seconds": 2.0, "loss_by_time": [0.5] * 10, "count_by_time": [1] * 10}
    with tracked_training(workspace, PAIRS) as (run_id, hear):
        hear(step)
        address = f"http://{workspace.profile.backend.metrics}/metrics"
        served = urllib.request.urlopen(address).read().decode()
    assert "lucidflux_training_step 3.0" in served
    run = workspace.tracker.client.get_run(run_id)
    assert run.data.params["backend.state"] == "postgresql://lucidflux:***@127.0.0.1:1/lucidflux"
    assert "backend.state" not in run.data.tags["lucidflux.command"]
    kept = [path for path in workspace.home.rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if b"c4nary" in path.read_bytes()]
