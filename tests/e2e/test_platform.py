"""up, status, a killed and a cancelled run, backup, down: over real servers and a real worker."""

import json
import subprocess

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.operations import automations, processes, record
from flows.operations.slots import gpu_slot
from tests.e2e.conftest import make_photos
from tests.e2e.machine import Machine, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    home = tmp_path_factory.mktemp("platform") / "home"
    photos = make_photos(tmp_path_factory.mktemp("sources") / "photos", 60)
    made = Machine(home, {"train.steps": "2000", "platform.retrain_sources": json.dumps([str(photos)])})
    try:
        assert made.up()["started"] == ["prefect", "mlflow", "worker-cpu"]
        yield made
    finally:
        made.verb("down")
    assert made.marked() == []


def stored_automations(machine):
    with machine.client() as client:
        return sorted((one["name"], one["updated"]) for one in client.request("POST", "/automations/filter", json={}).json())


def test_a_second_up_starts_nothing_and_changes_nothing(machine):
    before = stored_automations(machine)
    assert len(before) == 5
    pids = {name: service.pid for name, service in machine.platform.services.items()}
    assert machine.up()["started"] == []
    assert {name: service.pid for name, service in machine.platform.services.items()} == pids
    assert stored_automations(machine) == before


def test_status_says_what_runs_and_when_it_runs_next(machine):
    until(lambda: any(one["next"] for one in machine.told("status")["deployments"]), "the schedule is expanded")
    seen = machine.told("status")
    assert {one["service"]: one["state"] for one in seen["services"]} == dict.fromkeys(
        ("prefect", "mlflow", "worker-cpu"), "running"
    )
    named = {one["deployment"]: one for one in seen["deployments"]}
    assert named["retrain"]["next"].endswith("05:00")
    assert named["restore-batch"]["schedule"] == "0 20 * * * UTC (inactive)"
    assert named["restore-batch"]["next"] == ""
    assert named["promote"]["schedule"] == "on demand"


def test_a_gpu_is_held_by_one_at_a_time(machine):
    def held():
        with machine.client() as client:
            return client.read_global_concurrency_limit_by_name("gpu").active_slots

    with temporary_settings({PREFECT_API_URL: machine.platform.services["prefect"].address}), gpu_slot(needed=True):
        assert held() == 1
    assert held() == 0


def test_a_run_whose_process_is_killed_is_marked_and_started_again_and_a_cancelled_one_leaves_nothing(machine):
    run_id = machine.begin("retrain", {"only_new_data": False})
    until(lambda: machine.state(run_id).is_running(), "running")
    for process in machine.flow_processes(run_id):
        process.kill()
    until(lambda: machine.state(run_id).is_crashed(), "marked", 30)
    again = machine.restarted("retrain", run_id)
    assert again.parameters["only_new_data"] is False
    with machine.client() as client:
        assert client.read_flow_run(again.id).created_by.display_value == automations.RESTART
    until(lambda: machine.state(again.id).is_running(), "the slot of the dead run is free")

    children = until(lambda: machine.flow_processes(again.id), "a process of its own")
    assert machine.prefect("flow-run", "cancel", str(again.id)).returncode == 0
    until(lambda: machine.state(again.id).is_cancelled(), "cancelled")
    until(lambda: not any(processes.carries(child, machine.platform.token) for child in children), "no process is left", 60)
    assert machine.flow_processes(again.id) == []
    assert len(machine.runs("retrain")) == 2


def test_a_killed_server_is_repaired_by_up_and_verbs_find_the_servers(machine):
    machine.platform.process("mlflow").kill()
    until(lambda: machine.platform.process("mlflow") is None, "gone")
    seen = machine.told("status")
    assert "service-down" in {alarm["alarm"] for alarm in seen["alarms"]}
    assert machine.up()["started"] == ["mlflow"]
    doctor = machine.told("doctor")
    said = {one["what"]: one["said"] for one in doctor["findings"]}
    assert machine.platform.services["prefect"].address in said["Prefect server"]


def test_a_backup_is_made_while_everything_runs(machine, tmp_path):
    made = machine.told("backup", str(tmp_path / "state.tar.gz"))
    assert {"prefect/prefect.db", "mlflow/mlflow.db", record.NAME} <= set(made["files"])
    refused = machine.verb("restore-state", str(tmp_path / "state.tar.gz"))
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    assert machine.platform.process("prefect") is not None


def test_logs_show_the_end(machine):
    done = machine.verb("logs", "worker-cpu", "--lines", "500")
    assert "worker-cpu" in done.stdout


def test_down_leaves_no_process_and_no_stranger_dies(machine):
    with subprocess.Popen(["sleep", "60"]) as stranger:
        platform = machine.platform
        stale = platform.services["mlflow"].model_copy(update={"pid": stranger.pid})
        left = platform.process("mlflow")
        record.save(machine.home, platform.model_copy(update={"services": {**platform.services, "mlflow": stale}}))
        stopped = machine.told("down")
        assert stopped["processes"] >= 3
        assert machine.marked() == []
        assert not left.is_running()
        assert stranger.poll() is None
        stranger.kill()
