import time
from types import SimpleNamespace

import numpy as np
import pytest

from components.imaging import codec
from flows import progress, usage, watched
from flows.settings import load
from flows.tracked import command
from flows.watched import Watched


class Tracker:
    """Remembers what a run was told."""

    def __init__(self):
        self.metrics, self.tags, self.files = {}, {}, []

    def log_metrics(self, run_id, step, metrics):
        self.metrics |= {(name, step): value for name, value in metrics.items()}

    def set_tags(self, run_id, tags):
        self.tags |= tags

    def log_artifact(self, run_id, path, folder=""):
        self.files.append((folder, path.name))


@pytest.fixture
def seen():
    tracker, said = Tracker(), []
    token = progress.say.set(said.append)
    train = load("tiny", ["train.steps=1000"]).train
    yield SimpleNamespace(tracker=tracker, said=said, hear=Watched(tracker, "r" * 32, train))
    progress.say.reset(token)


def step(number, loss, part):
    by_time, counts = [None] * 10, [0] * 10
    by_time[part], counts[part] = loss, 2
    return {"event": "step", "step": number, "loss": loss, "loss_by_time": by_time, "count_by_time": counts}


def test_the_loss_by_time_is_a_mean_over_all_updates_since_the_last_point(seen):
    for number, loss, part in ((1, 9.0, 0), (2, 1.0, 3), (3, 3.0, 3), (4, 5.0, 7), (5, 2.0, 3)):
        seen.hear(step(number, loss, part))
    assert seen.tracker.metrics["loss_t0", 1] == 9.0
    assert seen.tracker.metrics["loss_t3", 5] == 2.0
    assert seen.tracker.metrics["loss_t7", 5] == 5.0
    assert ("loss_t0", 5) not in seen.tracker.metrics
    assert ("loss", 2) not in seen.tracker.metrics


def test_a_validation_is_metrics_with_their_interval_a_picture_and_a_line(seen, tmp_path):
    grid = tmp_path / "step-00000008.png"
    grid.write_bytes(codec.encode_png(np.zeros((8, 8, 3), np.uint8)))
    score = {"mean": 25.5, "lower": 24.0, "upper": 27.0, "n": 3}
    seen.hear({"event": "validation", "step": 8, "scores": {"val.heavy.psnr": score}, "grid": str(grid), "best": True})
    assert seen.tracker.metrics == {
        ("val.heavy.psnr", 8): 25.5,
        ("val.heavy.psnr.lower", 8): 24.0,
        ("val.heavy.psnr.upper", 8): 27.0,
    }
    assert seen.tracker.files == [("validation", grid.name)]
    assert seen.said == ["validation after update 8: val.heavy.psnr 25.5 (24 to 27); the best so far"]


def test_the_estimate_is_shown_and_kept(seen):
    seen.hear({"event": "estimate", "text": "9 updates left.", "seconds_left": 9.0, "device_hours": 0.1})
    assert seen.said == ["9 updates left."]
    assert seen.tracker.tags == {"lucidflux.estimate": "9 updates left."}
    assert seen.tracker.metrics["estimate.device_hours", 0] == 0.1


def test_time_by_phase_and_what_validation_decided_are_kept(seen):
    seen.hear({"event": "spent", "seconds": {"data wait": 2.5}})
    seen.hear({"event": "done", "notes": ["ended early"]})
    seen.hear({"event": "checkpoint", "step": 3})
    assert seen.tracker.metrics == {("spent.data_wait", 0): 2.5}
    assert seen.tracker.tags == {"lucidflux.notes": "ended early"}
    assert seen.said == ["ended early"]


def test_the_grid_of_a_run_of_prefect_becomes_an_artifact_that_holds_the_picture(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr("prefect.artifacts.create_image_artifact", lambda **values: made.append(values))
    grid = tmp_path / "grid.png"
    grid.write_bytes(codec.encode_png(np.zeros((2000, 40, 3), np.uint8)))
    watched.show_grid(grid, "validation-1", "Update 1")
    assert made == []  # nobody's run
    monkeypatch.setattr("prefect.context.TaskRunContext.get", object)
    watched.show_grid(grid, "validation-1", "Update 1")
    assert made[0]["image_url"].startswith("data:image/jpeg;base64,")
    assert made[0]["key"] == "validation-1"


def test_the_command_repeats_the_settings_from_a_named_profile_or_a_file(tmp_path):
    overrides = ["train.steps=7", "train.validation_metrics=['psnr', 'ssim']", "train.keep_best=true"]
    profile = load("paper", overrides)
    words = command(profile, "abc")
    assert words == (
        'lucidflux --profile paper --set train.steps=7 --set \'train.validation_metrics=["psnr", "ssim"]\' '
        "--set train.keep_best=true train abc"
    )
    own = tmp_path / "mine.toml"
    own.write_text('extends = "tiny"\n[train]\nsteps = 9\n')
    assert command(load(str(own)), "abc") == "lucidflux --profile tiny --set train.steps=9 train abc"


def test_usage_counts_new_processes_and_forgets_those_that_ended():
    before, now = {1: (10.0, 0), 2: (5.0, 0)}, {1: (11.0, 2**20), 3: (2.0, 2**21)}
    assert usage.usage(before, now, 2.0) == {
        "system/training_cpu_cores": 1.5,
        "system/training_memory_megabytes": 3.0,
        "system/training_processes": 2.0,
    }


def test_sampling_ends_with_its_block_and_a_log_that_fails_ends_it_quietly(monkeypatch):
    monkeypatch.setattr(usage, "FIRST_SECONDS", 0.01)
    samples = []

    def log(step, figures):
        samples.append(figures)
        raise ValueError

    with usage.sampled_usage(log):
        time.sleep(0.3)
    assert len(samples) == 1
    assert samples[0]["system/training_memory_megabytes"] > 1
