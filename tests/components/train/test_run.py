import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from components.backends.storage import file_sha256
from components.errors import SettingsError, TrainError, WeightsError
from components.train.job import BAD_BATCH_FILE
from components.train.launch import REPOSITORY
from components.train.run import train
from components.train.settings import TrainSettings
from tests.components.train.test_launch import alive, wait_for_end

SETTINGS = TrainSettings(
    steps=24,
    micro_batch_size=2,
    accumulation=2,
    processes=1,
    optimizer="adamw",
    learning_rate=1e-3,
    ema_decay=0.9,
    precision="fp32",
    time_sampling="restoration",
    checkpoint_every_steps=6,
    threads_per_process=1,
    cache="all",
)


class Run:
    """A finished run and what it said."""

    def __init__(self, store, pairs, base, work, settings):
        self.store, self.pairs, self.base, self.work, self.settings = store, pairs, base, work, settings
        self.events = []
        self.outcome = train(store, pairs, settings, base=base, work=work, on_event=self.events.append)

    def of(self, kind):
        return [event for event in self.events if event["event"] == kind]

    @property
    def losses(self):
        return [event["loss"] for event in self.of("step")]


@pytest.fixture(scope="module")
def straight(small_store, small_pairs, small_bundle, tmp_path_factory):
    return Run(small_store, small_pairs, small_bundle, tmp_path_factory.mktemp("straight"), SETTINGS)


def changed(run, tmp_path, **settings):
    return Run(run.store, run.pairs, run.base, tmp_path, run.settings.model_copy(update=settings))


def in_its_own_process(run, work, settings=None, validation=None):
    """Start `train` in a new process, as a flow would; events come on its standard output, workers are watched."""
    text = (
        "import json, sys\nfrom pathlib import Path\nfrom components.backends.storage import open_storage\n"
        "from components.records import Manifest\nfrom components.train import launch\nfrom components.train.run import train\n"
        "from components.train.settings import TrainSettings\nfrom tests.components.train import watched_worker\n"
        "from components.train.job import Validation\n"
        "launch.command = watched_worker.in_place_of(launch.command)\n"
        "root, pairs, settings, base, work, validation = sys.argv[1:]\n"
        "train(open_storage(root), Manifest.model_validate_json(pairs), TrainSettings.model_validate_json(settings),"
        " base=Path(base), work=Path(work), validation=Validation.model_validate_json(validation) if validation else None,"
        " on_event=lambda event: print(json.dumps(event), flush=True))"
    )
    arguments = [run.store.root, run.pairs.model_dump_json(), (settings or run.settings).model_dump_json(), run.base, work]
    arguments.append(validation.model_dump_json() if validation else "")
    words = [sys.executable, "-c", text, *map(str, arguments)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY)


def kill(process):
    """Kill the program; everything that it started must end by itself."""
    children = descendants(process.pid)
    process.kill()
    process.communicate()
    wait_for_end(*children)


def until(process, kind, step=0):
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == kind and event.get("step", 0) >= step:
            return event
    raise AssertionError(f"it ended before {kind} {step}")


def descendants(pid):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            child = int(stat.parent.name)
            found += [child, *descendants(child)]
    return found


def test_a_missing_part_and_contradicting_settings_are_refused(small_store, small_pairs, small_bundle, tmp_path):
    with pytest.raises(WeightsError, match=r"config\.json"):
        train(small_store, small_pairs, SETTINGS, base=tmp_path, work=tmp_path)
    two = SETTINGS.model_copy(update={"engine": "plain", "processes": 2})
    with pytest.raises(SettingsError, match="plain engine is one process"):
        train(small_store, small_pairs, two, base=small_bundle, work=tmp_path)


def test_the_spread_over_processes_does_not_name_the_job():
    two = SETTINGS.model_copy(update={"processes": 2, "accumulation": 1, "cache": "none"})
    apart = {"nodes": 2, "rendezvous": "head:1", "keep_checkpoints": 5, "keep_every_steps": 100, "checkpoint_store": True}
    assert two.model_copy(update=apart).identity() == SETTINGS.identity()
    assert two.identity() == SETTINGS.identity()
    assert SETTINGS.model_copy(update={"seed": 1}).identity() != SETTINGS.identity()
    assert SETTINGS.model_copy(update={"accumulation": 4}).identity() != SETTINGS.identity()


@pytest.mark.e2e
def test_the_adapter_is_in_the_store_under_its_hash(straight):
    outcome = straight.outcome
    assert file_sha256(straight.store.fetch(outcome.checkpoint)) == outcome.sha256
    assert outcome.checkpoint == f"checkpoints/{outcome.sha256}/adapter.safetensors"
    assert (outcome.step, outcome.resumed_from_step) == (24, 0)
    assert [event["step"] for event in straight.of("step")] == list(range(1, 25))
    assert [event["step"] for event in straight.of("checkpoint")] == [6, 12, 18, 24]
    assert any("control_share" in event for event in straight.of("note"))
    assert [event for event in straight.of("note") if event.get("missing_bytes")]
    assert not [path for name in ("features-*", "rows-*") for path in straight.work.glob(f"*/{name}")]


@pytest.mark.e2e
def test_a_finished_job_is_given_back_without_work(straight):
    again = Run(straight.store, straight.pairs, straight.base, straight.work, straight.settings)
    assert again.outcome == straight.outcome
    assert again.events == []


@pytest.mark.e2e
def test_an_adapter_that_left_the_store_is_put_back_without_training(straight):
    straight.store.fetch(straight.outcome.checkpoint).unlink()
    again = Run(straight.store, straight.pairs, straight.base, straight.work, straight.settings)
    assert again.outcome.sha256 == straight.outcome.sha256
    assert again.events == []
    assert straight.store.exists(straight.outcome.checkpoint)


@pytest.mark.e2e
def test_one_process_of_zero2_equals_the_plain_engine(straight, tmp_path):
    plain = changed(straight, tmp_path, engine="plain")
    assert plain.losses == pytest.approx(straight.losses, rel=1e-4)
    norms = [[event["grad_norm"] for event in run.of("step")] for run in (plain, straight)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


@pytest.mark.e2e
def test_killed_with_everything_and_run_again_it_ends_with_the_same_bits(straight, tmp_path):
    process = in_its_own_process(straight, tmp_path)
    until(process, "checkpoint", 12)
    assert len(descendants(process.pid)) >= 2  # torchrun and the worker
    kill(process)
    resumed = Run(straight.store, straight.pairs, straight.base, tmp_path, straight.settings)
    assert resumed.outcome.resumed_from_step in (12, 18)
    assert resumed.outcome.sha256 == straight.outcome.sha256
    assert (resumed.outcome.loss_first, resumed.outcome.loss_last) == (straight.outcome.loss_first, straight.outcome.loss_last)


@pytest.mark.e2e
def test_pixels_of_workers_and_kept_latents_give_the_losses_of_the_straight_run(straight, tmp_path):
    fed = changed(straight, tmp_path, engine="plain", cache="latents", data_workers=2)
    assert fed.losses == pytest.approx(straight.losses, rel=1e-4)


@pytest.mark.e2e
def test_a_killed_data_worker_is_a_sentence_and_the_next_call_goes_on_to_the_same_bits(straight, tmp_path):
    live = straight.settings.model_copy(update={"engine": "plain", "cache": "none", "steps": 12})
    whole = Run(straight.store, straight.pairs, straight.base, tmp_path / "whole", live)
    fed = live.model_copy(update={"data_workers": 1, "prefetch": 1})
    process = in_its_own_process(straight, tmp_path / "killed", fed)
    until(process, "checkpoint", 6)
    children = descendants(process.pid)
    (worker,) = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(worker, signal.SIGKILL)
    said = [json.loads(line) for line in process.communicate(timeout=120)[0].splitlines()]
    assert process.returncode == 1
    assert "makes training pixels ended" in said[-1]["message"]
    wait_for_end(*children)
    resumed = Run(straight.store, straight.pairs, straight.base, tmp_path / "killed", fed)
    assert resumed.outcome.resumed_from_step >= 6
    assert resumed.outcome.sha256 == whole.outcome.sha256


@pytest.mark.e2e
def test_a_second_caller_is_kept_out_of_a_running_job(straight, tmp_path):
    process = in_its_own_process(straight, tmp_path)
    until(process, "phase")
    with pytest.raises(TrainError, match="Another process trains"):
        Run(straight.store, straight.pairs, straight.base, tmp_path, straight.settings)
    kill(process)


@pytest.mark.e2e
def test_a_run_that_explodes_stops_with_its_pairs_on_disk(straight, tmp_path):
    with pytest.raises(TrainError, match="not finite at step") as caught:
        changed(straight, tmp_path, engine="plain", learning_rate=1e30, gradient_clip=0.0)
    (bad,) = tmp_path.glob(f"*/{BAD_BATCH_FILE}")
    named = json.loads(bad.read_text())
    assert named["pairs"]
    assert named["pairs"][0][:12] in str(caught.value)
    assert not list(tmp_path.glob("*/adapter.safetensors"))


@pytest.mark.e2e
def test_a_cancelled_call_leaves_no_process(straight, tmp_path):
    seen = []

    def cancel(event):
        if event["event"] == "step":
            seen.extend(descendants(os.getpid()))
            raise KeyboardInterrupt

    before = set(descendants(os.getpid()))
    with pytest.raises(KeyboardInterrupt):
        train(straight.store, straight.pairs, straight.settings, base=straight.base, work=tmp_path, on_event=cancel)
    started = set(seen) - before
    assert len(started) >= 2
    wait_for_end(*started)
    assert not any(alive(pid) for pid in started)
