"""restore-batch through a real Prefect server and a real worker."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from components.backends.manifest import rows
from components.backends.storage import LocalStorage
from components.records import Manifest
from tests.e2e.conftest import ROOT, environment

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(420)]
BIN = Path(sys.executable).parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def process(words, env, log):
    with log.open("wb") as output:
        running = subprocess.Popen(words, cwd=ROOT, env=env, stdout=output, stderr=output, start_new_session=True)
        try:
            yield running
        finally:
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)


def wait_until_healthy(url, server, log):
    for _ in range(240):
        assert server.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(f"{url}/health"):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError("the Prefect server did not start")


@pytest.fixture
def platform(quickstarted, tmp_path):
    """Environment of a client of a real server that has the deployments and a worker."""
    port = free_port()
    env = environment() | {
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "LUCIDFLUX_HOME": str(quickstarted.path),
    }
    (tmp_path / "prefect").mkdir()
    prefect = [str(BIN / "prefect")]
    log = tmp_path / "server.log"
    with process([*prefect, "server", "start", "--host", "127.0.0.1", "--port", str(port)], env, log) as server:
        wait_until_healthy(env["PREFECT_API_URL"], server, log)
        for words in (["work-pool", "create", "cpu", "--type", "process"], ["--no-prompt", "deploy", "--all"]):
            subprocess.run([*prefect, *words], cwd=ROOT, env=env, check=True, capture_output=True)
        with process([*prefect, "worker", "start", "--pool", "cpu"], env, tmp_path / "worker.log"):
            yield env


def test_a_deployment_run_restores_a_folder(platform, quickstarted, tmp_path):
    degraded = quickstarted.path / "quickstart" / "degraded"
    words = ["deployment", "run", "restore-batch/restore-batch", "--watch"]
    parameters = {"input_uri": degraded, "output_uri": tmp_path / "restored"}
    given = [word for name, value in parameters.items() for word in ("--param", f"{name}={value}")]
    done = subprocess.run(
        [str(BIN / "prefect"), *words, *given], cwd=ROOT, env=platform, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + (tmp_path / "worker.log").read_text()[-3000:]
    assert "Completed" in done.stdout
    names = sorted(path.name for path in degraded.iterdir())
    assert sorted(path.name for path in (tmp_path / "restored").glob("*.png")) == names
    store = LocalStorage(quickstarted.path / "objects")
    found = [key for key in store.list("manifests/restorations/") if _outputs(store, key) == names]
    assert found


def _outputs(store, key):
    digest = key.rpartition("/")[2].removesuffix(".parquet")
    manifest = Manifest(kind="restorations", uri=key, sha256=digest, rows=0)
    return sorted(row["output"] for row in rows(store, manifest))
