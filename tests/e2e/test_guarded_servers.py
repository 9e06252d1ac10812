"""The servers of compose.yaml by their own command lines: who has no password, or calls MLflow by a strange name, is refused."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.e2e.conftest import environment
from tests.infra.stack import ROOT, TEXT, filled, made_by_secrets_sh

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(900)]

START_S = 400
SECRETS = made_by_secrets_sh()
STACK = yaml.safe_load(filled(TEXT, SECRETS))


@contextmanager
def started(name: str, health: str, folder: Path, words: dict[str, str], variables: dict[str, str]) -> Iterator[str]:
    """A service's own command and environment, where some words and variables are this machine's."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    service, log = STACK["services"][name], folder / f"{name}.log"
    program, *given = service["command"]
    here = {"--host": "--host=127.0.0.1", "--port": f"--port={port}", **words}
    command = [sys.executable, "-m", program, *(here.get(word.partition("=")[0], word) for word in given)]
    own = {key: str(text) for key, text in service["environment"].items()} | variables
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=environment() | own, stdout=out, stderr=out)
    try:
        _wait(process, f"http://127.0.0.1:{port}{health}", log)
        yield f"http://127.0.0.1:{port}"
    finally:
        for one in [*psutil.Process(process.pid).children(recursive=True), process]:
            one.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    until = time.monotonic() + START_S
    while asked(address) != 200:
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < until, log.read_text()[-3000:]
        time.sleep(0.5)


def asked(address: str, *, login: str = "", host: str = "", data: bytes | None = None) -> int:
    """Status of an answer; 0 where there is none."""
    headers = {"Content-Type": "application/json"}
    if login:
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    if host:
        headers["Host"] = host
    try:
        with urllib.request.urlopen(urllib.request.Request(address, data, headers), timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_mlflow_refuses_who_has_no_password_and_who_calls_it_by_another_name(tmp_path):
    auth = tmp_path / "auth.ini"
    database = f"sqlite:///{tmp_path}/mlflow.db"
    auth.write_text(re.sub("(?m)^database_uri = .*", f"database_uri = {database}", STACK["configs"]["mlflow-auth"]["content"]))
    words = {
        "--backend-store-uri": f"--backend-store-uri={database}",
        "--artifacts-destination": f"--artifacts-destination={tmp_path}/artifacts",
    }
    allowed = next(word for word in STACK["services"]["mlflow"]["command"] if word.startswith("--allowed-hosts="))
    words["--allowed-hosts"] = f"{allowed},127.0.0.1:*"
    login = f"admin:{SECRETS['MLFLOW_ADMIN_PASSWORD']}"
    with started("mlflow", "/health", tmp_path, words, {"MLFLOW_AUTH_CONFIG_PATH": str(auth)}) as server:
        experiment = f"{server}/api/2.0/mlflow/experiments/get?experiment_id=0"
        assert asked(experiment) == 401
        assert asked(experiment, login="admin:password1234") == 401
        assert asked(experiment, login=login) == 200
        assert asked(experiment, login=login, host="mlflow:5000") == 200
        assert asked(experiment, login=login, host="elsewhere.example.com") == 403


def test_prefect_refuses_who_has_no_password_and_takes_pools_and_deployments(tmp_path):
    variables = {
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{tmp_path}/prefect.db",
        "PREFECT_HOME": str(tmp_path),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    with started("prefect", "/api/health", tmp_path, {}, variables) as server:
        assert asked(f"{server}/api/flows/count", data=b"{}") == 401
        assert asked(f"{server}/api/flows/count", login="admin:admin", data=b"{}") == 401
        assert asked(f"{server}/api/flows/count", login=SECRETS["PREFECT_API_AUTH_STRING"], data=b"{}") == 200
        # Kubernetes has three pools by templates, compose two of processes; the names are its arguments
        for script in ("infra/kubernetes/work-pools/apply.sh", "infra/docker/apply_deployments.sh one two"):
            applied(script, f"{server}/api", tmp_path)
        made = pools(f"{server}/api")
    kubernetes = {name: pool["base_job_template"] for name, pool in made.items() if pool["type"] == "kubernetes"}
    templates = (ROOT / "infra/kubernetes/work-pools").glob("*.json")
    assert kubernetes == {template.stem: json.loads(template.read_text()) for template in templates}
    assert made["multi-node"]["concurrency_limit"] == 1
    assert {name for name, pool in made.items() if pool["type"] == "process"} >= {"one", "two"}


def applied(script: str, address: str, folder: Path) -> None:
    """Run a script twice: the second time it finds everything."""
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    own = {"PATH": tools, "PREFECT_API_URL": address, "PREFECT_API_AUTH_STRING": SECRETS["PREFECT_API_AUTH_STRING"]}
    for _ in range(2):
        done = subprocess.run(
            ["sh", *script.split()],
            cwd=ROOT,
            env=environment() | own | {"PREFECT_HOME": str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def pools(address: str) -> dict[str, Any]:
    """Work pools of a server."""
    login = base64.b64encode(SECRETS["PREFECT_API_AUTH_STRING"].encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {login}"}
    with urllib.request.urlopen(urllib.request.Request(f"{address}/work_pools/filter", b"{}", headers), timeout=60) as answer:
        return {pool["name"]: pool for pool in json.loads(answer.read())}
