"""The Dockerfile: pinned, locked, not root, and nothing in it that should not be."""

import re
import subprocess
import sys
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "infra" / "docker"
FILE = (DOCKER / "Dockerfile").read_text()
LINES = [" ".join(line.split()) for line in re.sub(r"\\\n", " ", FILE).splitlines() if line and not line.startswith("#")]


def instructions(name):
    return [line.removeprefix(f"{name} ") for line in LINES if line.startswith(f"{name} ")]


def test_bases_are_named_by_version_and_may_be_pinned_by_digest():
    builder, runtime = instructions("FROM")
    assert builder == "python:${PYTHON_VERSION}-slim-bookworm${PYTHON_DIGEST} AS builder"
    assert runtime == "nvidia/cuda:${CUDA_VERSION}-base-ubuntu24.04${CUDA_DIGEST}"
    versions = dict(argument.split("=") for argument in instructions("ARG") if "=" in argument)
    assert re.fullmatch(r"\d+\.\d+\.\d+", versions["CUDA_VERSION"])
    assert re.fullmatch(r"3\.11\.\d+", versions["PYTHON_VERSION"])


def test_cuda_is_of_the_major_version_that_the_lock_brings():
    lock = (ROOT / "requirements.lock").read_text()
    (ours,) = re.findall(r"^nvidia-cuda-runtime==(\d+)\.", lock, re.M)
    (theirs,) = re.findall(r"^ARG CUDA_VERSION=(\d+)\.", FILE, re.M)
    assert ours == theirs


def test_packages_come_from_the_lock_with_their_hashes():
    installs = [line for line in instructions("RUN") if "uv pip" in line]
    assert installs == [
        "uv pip sync --python /opt/venv/bin/python --require-hashes requirements.lock",
        "uv pip install --python /opt/venv/bin/python --no-deps --no-build-isolation --editable .",
    ]


def test_uv_is_the_one_of_the_makefile():
    (makefile,) = re.findall(r"^UV_VERSION := (\S+)", (ROOT / "Makefile").read_text(), re.M)
    assert f"ARG UV_VERSION={makefile}" in LINES


def test_the_version_in_tags_is_the_product_s():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    tagged = {
        tag
        for path in (ROOT / "infra").rglob("*")
        if path.is_file()
        for tag in re.findall(r"lucidflux:(\d[\w.]*)|newTag: ([\w.]+)", path.read_text(errors="ignore"))
        for tag in tag
        if tag
    }
    assert tagged == {version}


def test_it_runs_as_somebody_and_is_watched():
    assert instructions("USER") == ["10001:10001"]
    assert LINES.index("USER 10001:10001") > max(number for number, line in enumerate(LINES) if line.startswith(("RUN", "COPY")))
    assert instructions("HEALTHCHECK")
    assert instructions("ENTRYPOINT") == ['["tini", "--"]']


def test_no_secret_is_built_in():
    for line in [*instructions("ARG"), *instructions("ENV")]:
        assert not re.search("PASSWORD|SECRET|AUTH|TOKEN|KEY", line), line


def test_the_context_holds_what_the_program_needs_and_nothing_else():
    first, *others = [line for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert first == "*"
    kept = {line.removeprefix("!") for line in others if line.startswith("!")}
    assert kept == {
        "LICENSE",
        "data.dvc",
        "README.md",
        "prefect.yaml",
        "pyproject.toml",
        "requirements.lock",
        "flows",
        "components",
        "models",
        "infra",
    }
    assert all((ROOT / name).exists() for name in kept)
    assert "**/.env" in others


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_ends_as_the_address_answers(status, code):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        asked = [sys.executable, DOCKER / "healthy.py", f"http://127.0.0.1:{server.server_port}/"]
        assert subprocess.run(asked, capture_output=True, check=False).returncode == code
        thread.join()


def test_buckets_are_made_once(s3):
    import boto3

    for _ in range(2):
        subprocess.run([sys.executable, DOCKER / "make_buckets.py", s3, f"{s3}-new"], check=True)
    assert {s3, f"{s3}-new"} <= {bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]}
