"""Real processes: known again by token and command line, never by number alone, and ended with what they started."""

import os
import subprocess
import sys

import psutil
import pytest

from flows.operations import processes, record

CHILD = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); time.sleep(60)"
WORDS = ("-c", CHILD)


@pytest.fixture
def token():
    made = record.new().token
    yield made
    processes.stop(processes.marked(made), 5)


@pytest.fixture
def service(token, tmp_path):
    environment = {**os.environ, processes.TOKEN: token}
    return processes.start([sys.executable, *WORDS], environment, tmp_path / "logs" / "one.log", tmp_path)


def children(token, count):
    while len(found := processes.marked(token)) < count:
        pass
    return found


def test_a_process_is_known_by_number_token_and_words(service, token):
    children(token, 2)
    assert processes.known(service.pid, token, WORDS) == service
    assert processes.known(service.pid, token, ("-m", "prefect")) is None
    assert processes.known(service.pid, "another", WORDS) is None


def test_a_stranger_with_the_same_number_is_neither_known_nor_ended(token, tmp_path):
    with subprocess.Popen([sys.executable, *WORDS], cwd=tmp_path) as stranger:
        try:
            assert processes.known(stranger.pid, token, WORDS) is None
            assert processes.marked(token) == []
        finally:
            for process in [*psutil.Process(stranger.pid).children(), stranger]:
                process.kill()


def test_what_a_killed_process_left_behind_still_carries_the_token(service, token):
    children(token, 2)
    service.kill()
    service.wait()
    left = processes.marked(token)
    assert len(left) == 1
    processes.stop(left, 5)
    assert processes.marked(token) == []


def test_a_process_that_ignores_the_request_is_killed(token, tmp_path):
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    log = tmp_path / "log"
    process = processes.start([sys.executable, "-c", stubborn], {**os.environ, processes.TOKEN: token}, log, tmp_path)
    while "ready" not in log.read_text():
        assert process.is_running()
    processes.stop([process], 0.2)
    assert processes.marked(token) == []


def test_a_long_log_is_put_aside(token, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "LOG_BYTES", 3)
    log = tmp_path / "one.log"
    log.write_text("long")
    processes.start([sys.executable, "-c", ""], {**os.environ, processes.TOKEN: token}, log, tmp_path).wait()
    assert (tmp_path / "one.old.log").read_text() == "long"
    assert log.read_text() == ""


def test_the_address_of_a_service_is_empty_once_it_ended(service, token, tmp_path):
    platform = record.Platform(token=token)
    record.save(tmp_path, record.with_service(platform, "prefect", service, WORDS, "http://127.0.0.1:1/api"))
    assert record.address(tmp_path, "prefect") == "http://127.0.0.1:1/api"
    assert record.address(tmp_path, "mlflow") == ""
    processes.stop(processes.marked(token), 5)
    assert record.address(tmp_path, "prefect") == ""


def test_verbs_use_the_server_that_runs_for_their_home(service, token, tmp_path, monkeypatch):
    from flows import environment

    record.save(tmp_path, record.with_service(record.Platform(token=token), "prefect", service, WORDS, "http://127.0.0.1:1/api"))
    seen = [name for name in os.environ if name.startswith(("PREFECT_", "LUCIDFLUX_"))]
    for name in [*seen, "PREFECT_API_URL"]:
        monkeypatch.delenv(name, raising=False)
    environment.prepare(tmp_path)
    assert os.environ["PREFECT_API_URL"] == "http://127.0.0.1:1/api"
    monkeypatch.setenv("PREFECT_API_URL", "http://mine")
    environment.prepare(tmp_path)
    assert os.environ["PREFECT_API_URL"] == "http://mine"
