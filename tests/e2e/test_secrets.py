"""Secrets of the environment: real verbs run with canaries in place of them, and nothing that stays or is shown has one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import pytest

from tests.e2e.conftest import ROOT, environment, make_photos

# four verbs one after the other, each with an embedded Prefect server
pytestmark = [pytest.mark.campaign, pytest.mark.timeout(1800)]

CANARY = "c4nary"
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": f"{CANARY}-s3",
    "AWS_SESSION_TOKEN": f"{CANARY}-token",
    # nobody listens there: what needs the state database fails, and says so
    "LUCIDFLUX_STATE": f"postgresql://lucidflux:{CANARY}-state@127.0.0.1:1/lucidflux",
    "PGPASSWORD": f"{CANARY}-pg",
    "LUCIDFLUX_LLM_KEY": f"{CANARY}-llm",
    "PREFECT_SERVER_API_AUTH_STRING": f"admin:{CANARY}-prefect",
    "PREFECT_API_AUTH_STRING": f"admin:{CANARY}-prefect",
    "MLFLOW_TRACKING_PASSWORD": f"{CANARY}-mlflow",
}
SMALL = ("train.steps=2", "synthesize.epochs=1", "synthesize.crop_px=96", "ingest.shard_pictures=8")


class Left:
    """A home after real verbs, what they printed, and the bucket that they wrote to."""

    def __init__(self, home: Path, bucket: str) -> None:
        self.home, self.bucket, self.said = home, bucket, ""

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        sets = [word for change in SMALL for word in ("--set", change)]
        command = [sys.executable, "-m", "flows", "--home", str(self.home), "--json", *sets, *words]
        places = {"LUCIDFLUX_OBJECTS": f"s3://{self.bucket}/objects", "LUCIDFLUX_DVC_REMOTE": f"s3://{self.bucket}/dvc"}
        done = subprocess.run(
            command, cwd=ROOT, env=environment() | SECRETS | places, capture_output=True, text=True, check=False
        )
        self.said += done.stdout + done.stderr
        return done

    def manifest(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr[-3000:]
        sha256: str = json.loads(done.stdout)["manifest"]["sha256"]
        return sha256

    def holding(self, text: str) -> list[str]:
        """Names of everything kept or shown that holds a text."""
        return [name for name, data in self._everything() if text.encode() in data]

    def _everything(self) -> Iterator[tuple[str, bytes]]:
        yield "output", self.said.encode()
        for path in self.home.rglob("*"):
            if path.is_file():
                yield str(path.relative_to(self.home)), path.read_bytes()
        client = boto3.client("s3")
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
            for item in page.get("Contents", ()):
                data = client.get_object(Bucket=self.bucket, Key=item["Key"])["Body"].read()
                yield item["Key"], _table(data) if item["Key"].endswith(".parquet") else data


def _table(data: bytes) -> bytes:
    """Rows and notes of a Parquet file, which is compressed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(pa.BufferReader(data))
    return f"{table.schema.metadata} {table.to_pylist()}".encode()


@pytest.fixture(scope="module")
def left(s3_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    endpoint, layer = s3_server
    layer.share = 0.0
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "lucidflux"}.items():
            patch.setenv(name, value)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRETS["AWS_SECRET_ACCESS_KEY"])
        boto3.client("s3").create_bucket(Bucket="canaries")
        made = Left(tmp_path_factory.mktemp("canaries") / "home", "canaries")
        images = made.manifest("ingest", str(make_photos(tmp_path_factory.mktemp("photos") / "photos", 12)))
        pairs = made.manifest("synthesize", made.manifest("curate", images))
        trained = made.run("train", pairs)
        assert trained.returncode == 0, trained.stderr[-3000:]
        yield made


def test_the_search_finds_what_is_kept(left):
    """MLflow's database, Prefect's database, the bucket and what was printed are all looked through."""
    found = left.holding("synthesize")
    assert {"mlflow/mlflow.db", "prefect/prefect.db"} <= set(found)
    assert left.holding("manifest")[0] == "output"
    assert [name for name in left.holding("source") if name.startswith("objects/")]


def test_no_secret_is_kept_or_shown(left):
    assert left.holding(CANARY) == []


def test_the_address_of_the_state_database_is_kept_without_its_password(left):
    assert "mlflow/mlflow.db" in left.holding("postgresql://lucidflux:***@127.0.0.1:1/lucidflux")


@pytest.mark.parametrize(
    ("words", "code"), [(("promote", "1"), 1), (("doctor",), None), (("restore", ".", "--out", "/nowhere"), 1)]
)
def test_a_verb_that_fails_does_not_tell(left, words, code):
    done = left.run(*words)
    assert code is None or done.returncode == code, done.stderr
    assert done.stderr or done.stdout
    assert CANARY not in done.stdout + done.stderr


def test_a_wrong_key_of_a_model_that_judges_is_not_repeated_nor_taken_elsewhere(left, tmp_path):
    """The address sends to another one, which refuses."""
    from http.server import BaseHTTPRequestHandler, HTTPServer

    asked: list[tuple[str, str | None]] = []

    class Sending(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(302 if self.path.startswith("/v1") else 401)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        do_GET = do_POST = _answer

        def log_message(self, *_: object) -> None:
            pass

    captions = tmp_path / "captions.txt"
    captions.write_text("a blurry street\n")
    with HTTPServer(("127.0.0.1", 0), Sending) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        done = left.run(
            "audit-captions", str(captions), "--endpoint", f"http://127.0.0.1:{server.server_port}/v1", "--model", "judge"
        )
        server.shutdown()
    assert done.returncode == 1
    assert ("/v1/chat/completions", f"Bearer {SECRETS['LUCIDFLUX_LLM_KEY']}") in asked
    assert {key for path, key in asked if path == "/elsewhere"} == {None}
    assert CANARY not in done.stdout + done.stderr
