"""Everything at once: PostgreSQL, S3, MLflow, Prefect and a worker; photos to a champion to a restored bucket, by deployments."""

import json

import boto3
import numpy as np
import pytest
from PIL import Image

from components.imaging import codec
from tests.e2e.conftest import SMALL
from tests.e2e.machine import Machine, until

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(3000)]
COUNT = 6


@pytest.fixture
def machine(s3, postgres, tmp_path, monkeypatch):
    postgres.make("lucidflux", "lucidflux_prefect", "lucidflux_mlflow")
    # settings, as compose gives them to its workers
    given = {"backend.state": postgres.address("lucidflux"), "backend.objects": f"s3://{s3}/objects"}
    made = Machine(tmp_path / "home", {**SMALL, **given})
    try:
        made.up()
        yield made
    finally:
        made.verb("down")
    assert made.marked() == []


def deployed(machine, name, parameters, state="COMPLETED"):
    words = [word for key, value in parameters.items() for word in ("--param", f"{key}={json.dumps(value)}")]
    done = machine.prefect("deployment", "run", f"{name}/{name}", *words, "--watch")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (run, *_) = machine.runs(name)
    assert run.state.type.value == state, run.state
    return run


def test_photos_become_a_champion_that_restores_a_bucket(machine, s3):
    client = boto3.client("s3")
    for number in range(COUNT):
        patches = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        picture = np.asarray(Image.fromarray(patches).resize((96, 96)))
        client.put_object(Bucket=s3, Key=f"in/{number}.png", Body=codec.encode_png(picture))
    client.put_object(Bucket=s3, Key="in/broken.jpg", Body=b"no picture")

    deployed(machine, "retrain", {"sources": ["packaged:"], "only_new_data": False})
    until(lambda: machine.told("ledger", "show")["entries"], "the new challenger was judged by itself")
    deployed(machine, "promote", {"version": "lucidflux/1"})
    places = {"input_uri": f"s3://{s3}/in", "output_uri": f"s3://{s3}/out"}
    deployed(machine, "restore-batch", places)

    listed = client.list_objects_v2(Bucket=s3, Prefix="out/")["Contents"]
    names = {one["Key"].removeprefix("out/") for one in listed}
    assert {f"{number}.png" for number in range(COUNT)} <= names
    (sidecar,) = [name for name in names if name.endswith(".jsonl")]
    body = client.get_object(Bucket=s3, Key=f"out/{sidecar}")["Body"].read().decode()
    verdicts = {row["origin"]: (row["verdict"], row.get("reason", "")) for row in map(json.loads, body.splitlines())}
    assert verdicts.pop("broken.jpg") == ("failed", "not_an_image")
    assert set(verdicts.values()) == {("kept", "")}
    assert len(verdicts) == COUNT

    facts = machine.told("lineage", "lucidflux@champion")["facts"]
    assert facts["model"] == "lucidflux/1"
    assert facts["training_images"]
    shown = machine.told("ledger", "show")["entries"]
    assert [(entry["action"], entry["version"]) for entry in shown] == [("promoted", 1)]
    assert machine.told("ledger", "verify")["champions"]["champion"] == 1

    deployed(machine, "restore-batch", places)
    again = {one["Key"]: one["LastModified"] for one in client.list_objects_v2(Bucket=s3, Prefix="out/")["Contents"]}
    assert all(again[one["Key"]] == one["LastModified"] for one in listed if one["Key"].endswith(".png"))
