"""A thousand pictures between two buckets that fail one answer in five, while workers and parents are killed ten times.

The bucket's server is a process of its own; the parent is started again after each kill, as an automation does.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import boto3
import numpy as np
import psutil
import pytest

from components.imaging import codec
from tests.e2e.conftest import ROOT, environment
from tests.faulty_s3 import credentials, serving

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(4 * 3600)]
PICTURES, SHARD, KILLS, WORKERS = int(os.environ.get("LUCIDFLUX_CAMPAIGN_PICTURES", "1000")), 16, 10, 2


def fill(client, bucket):
    for number in range(PICTURES):
        image_u8 = np.random.default_rng(number).integers(0, 256, (48, 32 + 16 * (number % 3), 3), dtype=np.uint8)
        data = codec.encode_png(image_u8) if number % 2 else codec.encode_jpeg(image_u8, 90)
        if number % 100 == 7:
            data = data[: len(data) // 2]
        client.put_object(Bucket=bucket, Key=f"in/{number % 10}/{number:04}.{'png' if number % 2 else 'jpg'}", Body=data)


def started(home, bucket, out, env):
    words = ["--home", home, "--objects", f"s3://{bucket}/objects-{out}", "--out", f"s3://{bucket}/{out}", "--shard", SHARD]
    words += ["--workers", WORKERS, f"s3://{bucket}/in"]
    home.mkdir(exist_ok=True)
    with (home / f"{time.monotonic_ns()}.log").open("w") as log:
        command = [sys.executable, "-m", "tests.e2e.restoring", *map(str, words)]
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=log)


def results(client, bucket, out):
    """Key below the output -> (ETag, time) of each result; notes and the sidecar apart."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{out}/")
    found = (item for page in pages for item in page.get("Contents", ()))
    return {
        item["Key"].removeprefix(f"{out}/"): (item["ETag"], item["LastModified"])
        for item in found
        if item["Key"].endswith((".png", ".jpg"))
    }


def finished(process, home):
    said, _ = process.communicate()
    assert process.returncode == 0, max(home.glob("*.log")).read_text()[-3000:]
    return json.loads(said)


def kill_one(process, chance):
    """Kill the parent or one of its workers; gives whether the parent lives."""
    children = psutil.Process(process.pid).children(recursive=True)
    workers = [child for child in children if any("multiprocessing.spawn" in word for word in child.cmdline())]
    if workers and chance.random() < 0.5:
        chance.choice(workers).kill()
        return True
    process.kill()
    process.wait()
    psutil.wait_procs(children, timeout=30)
    return False


def test_ten_kills_and_a_failing_bucket_change_nothing(tmp_path):
    with serving(share=0) as (endpoint, layer):
        env = environment() | credentials(endpoint) | {"NO_PROXY": "*", "no_proxy": "*"}
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys(env))
        client.create_bucket(Bucket="campaign")
        fill(client, "campaign")
        expected = finished(started(tmp_path / "calm", "campaign", "calm", env), tmp_path / "calm")
        calm = results(client, "campaign", "calm")
        layer.share = 0.2
        chance, home, kills = random.Random(0), tmp_path / "wild", 0
        process = started(home, "campaign", "wild", env)
        seen: dict[str, tuple[str, object]] = {}
        while kills < KILLS:
            goal = (kills + 1) * len(calm) // (KILLS + 1) - chance.randint(0, len(calm) // (2 * KILLS))
            while len(seen := watched(client, layer, seen)) < goal:
                assert process.poll() is None, max(home.glob("*.log")).read_text()[-3000:]
                time.sleep(0.2)
            kills += 1
            if not kill_one(process, chance):
                process = started(home, "campaign", "wild", env)
        record = finished(process, home)
        layer.share = 0
        check(client, record, expected, calm, seen)


def keys(env):
    return {"aws_access_key_id": env["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": env["AWS_SECRET_ACCESS_KEY"]}


def watched(client, layer, before):
    """Results now; none that was there has been written again."""
    layer.share, share = 0, layer.share
    now = results(client, "campaign", "wild")
    layer.share = share
    assert {name: now[name] for name in before} == before
    return now


def check(client, record, expected, calm, seen):
    now = results(client, "campaign", "wild")
    assert {name: etag for name, (etag, _) in now.items()} == {name: etag for name, (etag, _) in calm.items()}
    assert {name: now[name] for name in seen} == seen
    assert record["manifest"]["sha256"] == expected["manifest"]["sha256"]
    assert (record["failed"], record["restored"] + record["reused"]) == (PICTURES // 100, PICTURES - PICTURES // 100)
    assert record["reused"] <= KILLS * WORKERS * SHARD
    key = record["sidecar"].removeprefix("s3://campaign/")
    rows = [json.loads(line) for line in client.get_object(Bucket="campaign", Key=key)["Body"].read().splitlines()]
    assert len({row["input"] for row in rows}) == len(rows) == PICTURES
    assert all(bool(row.get("output")) != bool(row.get("reason")) for row in rows)
    said = f"{PICTURES} pictures, {KILLS} kills: {record['reused']} results found again\n"
    Path(os.environ.get("LUCIDFLUX_CAMPAIGN_LOG", os.devnull)).write_text(said)
