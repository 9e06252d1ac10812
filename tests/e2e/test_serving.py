"""The champion behind `mlflow models serve`, from a real registry: photos in, hostile files out, memory where it was."""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from components.imaging import codec
from tests.components.register.conftest import SAMPLER, make_trained

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parents[2]
VERDICTS = ROOT / "tests" / "components" / "imaging" / "nasty_verdicts.csv"
MIB = 2**20
QUICK = {**SAMPLER, "steps": 1, "tile_px": 256, "codec_tile_px": 512, "codec_overlap_px": 16}
AGAIN_PX = 1_000_000
"""Larger pictures are sent once; the others again and again."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(folder: Path, *words: str, ready: str, **variables: str) -> Iterator[int]:
    """Run a program of MLflow until it answers, and end its processes afterwards; gives its process id."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTHONPATH"))}
    environment |= {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        **variables,
    }
    with (folder / f"{words[0]}.log").open("w") as log:
        command = [sys.executable, "-m", "mlflow", *words]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        while True:
            try:
                urllib.request.urlopen(ready, timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, (folder / f"{words[0]}.log").read_text()[-3000:]
                time.sleep(0.5)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # a server of MLflow waits for its connections first
        process.wait(30)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an MLflow server that has a champion."""
    from components.backends.tracking import Tracker
    from components.register.register import register_run
    from components.register.settings import RegisterSettings

    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    places = ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder / "artifacts")]
    words = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *places]
    with running(folder, *words, ready=f"http://127.0.0.1:{port}/health"):
        made = make_trained(folder / "trained")
        tracker = Tracker(f"http://127.0.0.1:{port}", artifact_root=folder / "unused", experiment="lucidflux")
        run = made.run.model_copy(update={"run_id": tracker.start_run("k", name="train", settings={}, tags={})})
        report = made.report.model_copy(update={"sampler": QUICK})
        settings = RegisterSettings(base_licence="Apache-2.0")
        version = register_run(tracker, run, report, settings, base=made.base, store=made.store, git_revision="abc")
        tracker.set_alias("lucidflux", "champion", version.version)
        yield tracker.uri


@dataclass
class Served:
    """A server of the champion."""

    port: int
    pid: int

    def post(self, body: Any, content_type: str = "application/json") -> tuple[int, str]:
        """Status and text of an answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        address = f"http://127.0.0.1:{self.port}/invocations"
        request = urllib.request.Request(address, data, {"Content-Type": content_type})
        try:
            with urllib.request.urlopen(request, timeout=600) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def memory_mib(self) -> int:
        """Resident memory of the server and of everything that it started."""
        root = psutil.Process(self.pid)
        return sum(process.memory_info().rss for process in (root, *root.children(recursive=True))) // MIB


@pytest.fixture(scope="module")
def served(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    port = free_port()
    words = ["-m", "models:/lucidflux@champion", "--env-manager", "local", "--port", str(port), "--timeout", "600"]
    limits = {"MLFLOW_PYFUNC_INFERENCE_CONFIG": '{"max_pictures": 3}', "UVICORN_LIMIT_CONCURRENCY": "6", "OMP_NUM_THREADS": "1"}
    folder = tmp_path_factory.mktemp("served")
    ready = f"http://127.0.0.1:{port}/ping"
    with running(folder, "models", "serve", *words, ready=ready, MLFLOW_TRACKING_URI=registry, **limits) as pid:
        yield Served(port, pid)


def asking(*files: bytes, **params: Any) -> dict[str, Any]:
    rows = [[base64.b64encode(data).decode()] for data in files]
    return {"dataframe_split": {"columns": ["image"], "data": rows}, **({"params": params} if params else {})}


@pytest.fixture(scope="module")
def small(test_data: Path) -> bytes:
    return (test_data / "nasty" / "pngsuite_basn2c16.png").read_bytes()


def test_the_documented_curl_line_restores_a_photo(served: Served, test_data: Path, tmp_path: Path) -> None:
    (line,) = (block for block in re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / "serving.md").read_text(), re.S))
    photo = (test_data / "nasty" / "Portrait_6.jpg").read_bytes()
    (tmp_path / "photo.jpg").write_bytes(photo)
    command = line.replace(":5001/", f":{served.port}/").replace("python -c", f"{sys.executable} -c")
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    restored, before = (codec.decode(data) for data in ((tmp_path / "restored.png").read_bytes(), photo))
    assert restored.format == "png"
    assert restored.image_u8.shape == before.image_u8.shape
    assert (restored.image_u8 != before.image_u8).any()


@pytest.mark.campaign
def test_every_hostile_file_has_the_verdict_of_ingestion_and_memory_stays_where_it_was(served: Served, test_data: Path) -> None:
    with VERDICTS.open() as table:
        expected = {row["file"]: row["expected"] for row in csv.DictReader(table)}
    expected |= {"samplefilehub.heif": "ok"} if codec.decodes_heif() else {}
    files = {name: (test_data / "nasty" / name).read_bytes() for name in expected}
    large = {name for name, said in expected.items() if said == "ok" and codec.decode(files[name]).image_u8.size > 3 * AGAIN_PX}
    before, after = served.memory_mib(), []
    with watched(served) as peak:
        for turn in range(3):
            for name, data in files.items():
                if turn and name in large:
                    continue
                status, text = served.post(asking(data))
                assert status == (200 if expected[name] == "ok" else 400), (name, text[:500])
                assert expected[name] == "ok" or f"row 0 of column 'image': {expected[name]}" in text, (name, text[:500])
            after.append(served.memory_mib())
    print(f"MiB before {before}, after each turn {after}, most {max(peak)}")  # noqa: T201 (pytest shows it with -rP)
    assert after[2] - after[1] < 100
    assert max(peak) - before < 1500


@contextmanager
def watched(served: Served) -> Iterator[list[int]]:
    """Measure memory ten times a second while the block runs."""
    seen, ended = [served.memory_mib()], threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            seen.append(served.memory_mib())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize(
    ("body", "content_type", "status", "said"),
    [
        (b"", "application/json", 400, "valid JSON"),
        (b"{", "application/json", 400, "valid JSON"),
        (b"{}", "image/png", 415, "application/json"),
        (b"{}", "application/x-www-form-urlencoded", 415, "application/json"),
        ({"pictures": []}, "application/json", 400, "dataframe_split"),
        ({"dataframe_split": {"columns": ["photo"], "data": [["aaaa"]]}}, "application/json", 400, "missing inputs ['image']"),
        ({"dataframe_split": {"columns": ["image"], "data": [[None]]}}, "application/json", 400, "column image"),
        ({"dataframe_split": {"columns": ["image"], "data": [["no base64!"]]}}, "application/json", 400, "image"),
        ({"dataframe_split": {"columns": ["image"], "data": []}}, "application/json", 400, "Expected 1 to 3 pictures"),
    ],
)
def test_a_request_of_another_form_is_refused_with_a_sentence(served: Served, body, content_type, status, said) -> None:
    answer = served.post(body, content_type)
    assert answer[0] == status
    assert said in answer[1]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"steps": -1}, "'steps': Input should be greater than 0, got -1"),
        ({"steps": 2.5}, "'steps'"),
        ({"fidelity": 7}, "'fidelity': Input should be less than or equal to 1, got 7.0"),
        ({"seed": 2**63}, "'seed': Input should be less than 9223372036854775808"),
        ({"seed": "new"}, "'seed'"),
    ],
)
def test_a_wrong_parameter_is_refused_with_a_sentence(served: Served, small: bytes, params, said) -> None:
    status, text = served.post(asking(small, **params))
    assert status == 400
    assert said in text


def test_more_pictures_than_the_operator_allows_are_refused(served: Served, small: bytes) -> None:
    assert served.post(asking(*[small] * 3))[0] == 200
    status, text = served.post(asking(*[small] * 4))
    assert status == 400
    assert "Expected 1 to 3 pictures in a request (max_pictures), got 4" in text


def test_parameters_reach_the_sampler_and_null_is_the_models_own(served: Served, small: bytes) -> None:
    own, null, seeded, faithful = (
        served.post(asking(small, **params))[1]
        for params in ({}, {"seed": 0, "steps": None, "fidelity": None}, {"seed": 1}, {"fidelity": 1})
    )
    assert own == null
    assert len({own, seeded, faithful}) == 3


def test_a_flood_is_answered_and_the_server_lives(served: Served, test_data: Path, small: bytes) -> None:
    photo = asking((test_data / "nasty" / "pil_exif_typeerror.jpg").read_bytes())
    with ThreadPoolExecutor(12) as senders:
        statuses = {answer[0] for answer in senders.map(lambda _: served.post(photo), range(12))}
    assert statuses == {200, 503}
    assert served.post(asking(small))[0] == 200
