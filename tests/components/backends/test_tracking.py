import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from components.backends.tracking import Tracker, flat
from components.errors import RegistryError


@pytest.fixture(scope="module")
def tracker(tmp_path_factory):
    """One database for all tests, because making one takes seconds; every test has its own names."""
    home = tmp_path_factory.mktemp("mlflow")
    return Tracker(f"sqlite:///{home / 'mlflow.db'}", artifact_root=home / "artifacts", experiment="lucidflux")


def again(tracker):
    """The same registry, as another process sees it."""
    return Tracker(tracker.uri, artifact_root=tracker.artifact_root, experiment=tracker.experiment)


def start(tracker, key):
    return tracker.start_run(key, name="train", settings={"train": {"steps": 4, "rate": 0.1}}, tags={"git": "abc"})


def saved(folder, text="{}"):
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}\n")
    (folder / "lineage.json").write_text(text)
    return folder


def register(tracker, name, folder, key="k"):
    run_id = start(tracker, f"{name}-{key}")
    return tracker.register(name, folder, key=key, run_id=run_id, tags={"dataset": "abc"}, card="# Card", licence="Apache-2.0")


def test_a_killed_run_goes_on_under_its_own_id(tracker):
    first = start(tracker, "killed")
    assert start(again(tracker), "killed") == first
    assert start(tracker, "other") != first


def test_settings_are_logged_flat(tracker):
    run = tracker.client.get_run(start(tracker, "settings"))
    assert run.data.params == {"train.steps": "4", "train.rate": "0.1"}
    assert run.data.tags["git"] == "abc"


def test_a_step_is_logged_once_though_it_was_trained_twice(tracker):
    run_id = start(tracker, "metrics")
    assert tracker.history(run_id, "loss") == []
    for step in range(4):
        tracker.log_metrics(run_id, step, {"loss": 1.0})
    resumed = again(tracker)
    for step in range(2, 6):
        resumed.log_metrics(run_id, step, {"loss": 1.0, "late": 2.0})
    assert [point.step for point in tracker.client.get_metric_history(run_id, "loss")] == [0, 1, 2, 3, 4, 5]
    assert tracker.history(run_id, "late") == [(step, 2.0) for step in (2, 3, 4, 5)]


def test_an_input_is_logged_once_with_its_own_digest(tracker):
    run_id = start(tracker, "input")
    for _ in range(2):
        tracker.log_input(run_id, name="pairs", digest="d" * 64, source="manifests/pairs/d.parquet", context="training")
    (entry,) = tracker.client.get_run(run_id).inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("pairs", "d" * 36)


def test_a_run_keeps_files_and_ends(tracker, tmp_path):
    run_id = start(tracker, "files")
    (tmp_path / "page.html").write_text("<p>")
    tracker.log_artifact(run_id, tmp_path / "page.html", "report")
    tracker.log_text(run_id, "hello", "note.txt")
    tracker.end_run(run_id)
    assert {item.path for item in tracker.client.list_artifacts(run_id)} == {"report", "note.txt"}
    assert tracker.client.get_run(run_id).info.status == "FINISHED"


def test_registering_twice_gives_one_version(tracker, tmp_path):
    folder = saved(tmp_path / "model")
    first = register(tracker, "twice", folder)
    assert register(again(tracker), "twice", folder) == first
    assert (first.version, first.alias, first.licence) == (1, "challenger", "Apache-2.0")
    assert register(tracker, "twice", folder, key="new").version == 2
    assert tracker.find("twice", "k").version == 1
    assert tracker.find("twice", "unknown") is None


def test_versions_are_found_by_alias_and_by_number(tracker, tmp_path):
    folder = saved(tmp_path / "model")
    first, second = register(tracker, "named", folder, "a"), register(tracker, "named", folder, "b")
    tracker.set_alias("named", "champion", first.version)
    assert tracker.by_alias("named", "champion").version == 1
    assert tracker.resolve("named@challenger") == second
    assert tracker.resolve("named/1").alias == "champion"
    assert tracker.by_alias("named", "nobody") is None
    assert tracker.by_alias("nothing", "champion") is None


@pytest.mark.parametrize("model", ["gone@champion", "gone/1", "gone", "gone@", "a/b/c", ""])
def test_what_is_not_there_is_said(tracker, model):
    with pytest.raises(RegistryError, match=r"There is no|Expected NAME@alias"):
        tracker.resolve(model)


def test_a_missing_version_lists_the_known_ones(tracker, tmp_path):
    register(tracker, "known", saved(tmp_path / "model"))
    with pytest.raises(RegistryError, match=r"known@challenger, known/1"):
        tracker.resolve("known/7")


def test_the_files_of_a_version_come_back(tracker, tmp_path):
    version = register(tracker, "files", saved(tmp_path / "model", '{"dataset": "abc"}'))
    assert tracker.read_text(version, "lineage.json") == '{"dataset": "abc"}'
    assert (tracker.download(version, tmp_path / "copy") / "MLmodel").is_file()
    assert tracker.tags(version)["dataset"] == "abc"
    with pytest.raises(RegistryError, match=r"gone\.json"):
        tracker.read_text(version, "gone.json")


def test_a_server_that_is_away_is_said_at_once(tmp_path):
    away = Tracker("http://127.0.0.1:9", artifact_root=tmp_path, experiment="lucidflux")
    started = time.monotonic()
    with pytest.raises(RegistryError, match=r"127\.0\.0\.1:9.*refused"):
        away.resolve("lucidflux@champion")
    assert time.monotonic() - started < 6


def test_making_a_tracker_opens_nothing(tmp_path):
    Tracker(f"sqlite:///{tmp_path / 'm' / 'mlflow.db'}", artifact_root=tmp_path / "a", experiment="lucidflux")
    assert list(tmp_path.iterdir()) == []


def test_process_wide_mlflow_state_is_left_alone(tracker, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    register(tracker, "globals", saved(tmp_path / "model"))
    assert mlflow.get_tracking_uri() == before
    assert not (tmp_path / "mlflow.db").exists()


def test_nested_settings_get_dotted_names():
    assert flat({"a": {"b": {"c": 1}}, "d": (1, 2)}) == {"a.b.c": "1", "d": "(1, 2)"}


@pytest.fixture
def server(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    places = ["--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}", "--artifacts-destination", str(tmp_path / "served")]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *words, *places],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
                break
            except OSError:
                assert process.poll() is None, "the server ended"
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


@pytest.mark.e2e
def test_runs_and_versions_live_on_a_server_too(server, tmp_path):
    remote = Tracker(server, artifact_root=tmp_path / "unused", experiment="lucidflux")
    version = register(remote, "served", saved(tmp_path / "model", "[1]"))
    assert register(again(remote), "served", tmp_path / "model") == version
    assert remote.read_text(remote.resolve("served@challenger"), "lineage.json") == "[1]"
    assert not (tmp_path / "unused").exists()


def test_tags_are_replaced_and_the_machine_is_watched_while_the_block_runs(tracker, monkeypatch):
    monkeypatch.setattr("components.backends.tracking.SYSTEM_SECONDS", 0.2)
    run_id = start(tracker, "watched")
    with tracker.system_metrics(run_id):
        time.sleep(2)
    for text in ("9 h left", "8 h left"):
        tracker.set_tags(run_id, {"estimate": text})
    data = tracker.client.get_run(run_id).data
    assert data.tags["estimate"] == "8 h left"
    assert data.metrics["system/system_memory_usage_megabytes"] > 0


def test_a_machine_that_cannot_be_watched_costs_no_run(tracker, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError("no such counter")

    monkeypatch.setattr("mlflow.system_metrics.system_metrics_monitor.SystemMetricsMonitor", refuse)
    with tracker.system_metrics(start(tracker, "unwatched")):
        pass
