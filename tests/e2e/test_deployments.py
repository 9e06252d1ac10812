"""The deployments as they run by themselves: new pictures to a champion, nothing twice, and a night with kills."""

import json
import time

import numpy as np
import pytest
from PIL import Image

from tests.e2e.conftest import SMALL, run
from tests.e2e.machine import Machine, until

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(1800)]
MARKED_SECONDS = 120


def degraded_photos(folder, count):
    folder.mkdir()
    for number in range(count):
        patches = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(patches).resize((128, 128)).save(folder / f"{number:03}.png")
    return folder


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    made = Machine(tmp_path_factory.mktemp("deployments") / "home", SMALL)
    try:
        made.up()
        yield made
    finally:
        made.verb("down")
    assert made.marked() == []


@pytest.fixture(scope="module")
def retrained(machine):
    run_id = machine.begin("retrain", {})
    until(lambda: machine.state(run_id).is_final(), "retrained", 900)
    assert machine.state(run_id).is_completed(), machine.state(run_id)
    return run_id


def test_a_new_challenger_is_judged_and_promoted_by_itself(machine, retrained):
    (judged,) = until(lambda: machine.runs("promote"), "promote was started")
    assert judged.parameters["version"] == "lucidflux/1"
    until(lambda: machine.state(judged.id).is_final(), "judged")
    assert machine.state(judged.id).is_completed()
    shown = machine.told("ledger", "show")["entries"]
    assert [(entry["action"], entry["version"]) for entry in shown] == [("promoted", 1)]
    assert machine.told("ledger", "verify")["champions"]["champion"] == 1


def test_without_new_pictures_nothing_is_trained_and_nobody_is_judged(machine, retrained):
    until(lambda: machine.runs("promote"), "the first one was judged")
    before = len(machine.runs("promote"))
    run_id = machine.begin("retrain", {})
    until(lambda: machine.state(run_id).is_final(), "ended")
    state = machine.state(run_id)
    assert state.name == "Skipped"
    assert "lucidflux/1" in state.message
    assert len(machine.runs("promote")) == before
    by_hand = machine.told("retrain", "packaged:", "--only-new-data")
    assert (by_hand["name"], by_hand["version"]) == ("lucidflux", 1)


def test_what_the_server_registered_is_there_without_it(machine, retrained, tmp_path):
    machine.verb("down")
    try:
        done = run(machine.home, "lineage", "lucidflux/1", settings=SMALL)
        assert done.returncode == 0, done.stderr[-2000:]
        assert json.loads(done.stdout)["facts"]["model"] == "lucidflux/1"
    finally:
        machine.up()


def test_a_night_with_worker_and_run_killed_is_finished_by_itself(machine, retrained, tmp_path):
    until(lambda: machine.told("ledger", "show")["entries"], "there is a champion")
    photos, out = degraded_photos(tmp_path / "photos", 40), tmp_path / "restored"
    run_id = machine.begin("restore-batch", {"input_uri": str(photos), "output_uri": str(out)})
    until(lambda: machine.state(run_id).is_running(), "running")
    victims = [machine.platform.process("worker-cpu"), *until(lambda: machine.flow_processes(run_id), "a process")]
    began = time.monotonic()
    for victim in victims:
        victim.kill()
    until(lambda: machine.state(run_id).is_crashed(), "marked", MARKED_SECONDS)
    assert time.monotonic() - began < MARKED_SECONDS
    assert machine.up()["started"] == ["worker-cpu"]
    again = machine.restarted("restore-batch", run_id)
    assert again.parameters["input_uri"] == str(photos)
    until(lambda: machine.state(again.id).is_final(), "finished", 900)
    assert machine.state(again.id).is_completed()
    assert sorted(path.name for path in out.glob("*.png")) == sorted(path.name for path in photos.iterdir())
    assert "runs-failed" not in {alarm["alarm"] for alarm in machine.told("status")["alarms"]}


def test_what_ended_with_the_server_is_picked_up(machine, retrained, tmp_path):
    machine.up()
    photos, out = degraded_photos(tmp_path / "photos", 8), tmp_path / "restored"
    run_id = machine.begin("restore-batch", {"input_uri": str(photos), "output_uri": str(out)})
    until(lambda: machine.state(run_id).is_running(), "running")
    for victim in machine.marked():
        victim.kill()
    machine.up()
    assert machine.state(run_id).is_crashed()
    again = machine.restarted("restore-batch", run_id)
    until(lambda: machine.state(again.id).is_final(), "finished", 900)
    assert machine.state(again.id).is_completed()
    assert len(list(out.glob("*.png"))) == 8
