import json
import os
import signal
import subprocess
import sys
import time

import pytest

from components.backends.versioning import read_pin
from flows.lineage import training_samples
from flows.orphans import end_orphans
from flows.workspace import open_workspace
from tests.e2e.conftest import ROOT, SMALL, command, environment, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def manifests(record):
    curation = record["run"]["pairs"]["curation"]
    return {
        "images": curation["dataset"]["manifest"]["sha256"],
        "curated": curation["manifest"]["sha256"],
        "pairs": record["run"]["pairs"]["manifest"]["sha256"],
        "scores": record["report"]["scores"]["sha256"],
        "restorations": record["restoration"]["manifest"]["sha256"],
        "checkpoint": record["run"]["checkpoint_sha256"],
        "dvc": record["dataset"]["dvc_md5"],
    }


def test_the_default_input_rebuilds_the_pinned_dataset(quickstarted):
    assert quickstarted.record["dataset"]["dvc_md5"] == read_pin(ROOT / "data.dvc")


def test_every_picture_has_one_verdict(quickstarted):
    assert sum(quickstarted.record["funnel"].values()) == quickstarted.record["dataset"]["manifest"]["rows"]


def test_the_champion_restored_the_degraded_photos(quickstarted):
    restoration = quickstarted.record["restoration"]
    assert (restoration["failed"], restoration["restored"]) == (0, 4)
    assert quickstarted.record["model"]["alias"] == "champion"


def test_running_it_again_does_nothing_twice_and_says_so(quickstarted):
    again = run(quickstarted.path, "quickstart")
    assert again.returncode == 0, again.stderr[-4000:]
    record = json.loads(again.stdout)
    assert manifests(record) == manifests(quickstarted.record)
    assert set(record["reused"]) >= {"ingest-images", "curate-images", "synthesize-pairs", "train-adapter", "evaluate-adapter"}
    assert record["model"]["version"] == quickstarted.record["model"]["version"]
    assert record["restoration"]["restored"] == 0


def test_the_champion_loads_in_a_new_process_and_restores_a_jpeg(quickstarted, tmp_path):
    degraded = next((quickstarted.path / "quickstart" / "degraded").glob("heavy-*.png"))
    program = (
        "import sys, io, mlflow, pandas, PIL.Image\n"
        "mlflow.set_tracking_uri(sys.argv[1])\n"
        "buffer = io.BytesIO(); photo = PIL.Image.open(sys.argv[2]).convert('RGB'); photo.save(buffer, 'JPEG', quality=90)\n"
        "model = mlflow.pyfunc.load_model('models:/lucidflux@champion')\n"
        "out = model.predict(pandas.DataFrame({'image': [buffer.getvalue()]}))\n"
        "data = out['image'].iloc[0] if hasattr(out, 'iloc') else out[0]\n"
        "restored = PIL.Image.open(io.BytesIO(data)); restored.load(); print(restored.size == photo.size)\n"
    )
    uri = f"sqlite:///{quickstarted.path / 'mlflow' / 'mlflow.db'}"
    words = [sys.executable, "-c", program, uri, str(degraded)]
    done = subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("True"), done.stderr[-3000:]


def _wait_for(process, home, pattern):
    """Wait until the run has left a file that shows where it is; fail when it ends before."""
    while process.poll() is None:
        if any(home.glob(pattern)):
            return
        time.sleep(0.05)
    raise AssertionError(f"the run ended before {pattern} was there: {process.stderr.read()[-3000:]}")


@pytest.mark.campaign
def test_killed_during_curate_train_and_evaluate_it_ends_with_the_same_hashes(quickstarted, tmp_path):
    for pattern in ("objects/scores/luma-*/*.parquet", "work/train-*/checkpoints/step-*", "work/evaluate-*/*/*/scores.json"):
        process = subprocess.Popen(
            command(tmp_path, "quickstart"),
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        _wait_for(process, tmp_path, pattern)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done = run(tmp_path, "quickstart")
    assert done.returncode == 0, done.stderr[-4000:]
    assert manifests(json.loads(done.stdout)) == manifests(quickstarted.record)
    assert end_orphans(tmp_path / "prefect") == 0


def test_the_version_alone_leads_back_to_every_training_image(quickstarted):
    from components.backends.tracking import Tracker
    from components.register.lineage import lineage

    folder = quickstarted.path / "mlflow"
    tracker = Tracker(f"sqlite:///{folder / 'mlflow.db'}", artifact_root=folder / "artifacts", experiment="lucidflux")
    found = lineage(tracker, "lucidflux@champion")
    record = quickstarted.record
    curation = record["run"]["pairs"]["curation"]
    assert found["dataset_version"] == record["dataset"]["dvc_md5"]
    assert found["curated_manifest"] == curation["manifest"]["sha256"]
    assert found["settings"] == record["run"]["settings"]
    assert found["git_revision"]
    assert found["expectations_passed"]
    assert found["evaluation"]["scores_manifest"] == record["report"]["scores"]["sha256"]
    pairs = record["run"]["pairs"]["manifest"]["rows"]
    assert len(found["training_images"]) == pairs // 2
    assert all(len(image_id) == 64 for image_id in found["training_images"])


def test_a_registered_version_knows_what_it_was_trained_with(quickstarted):
    workspace = open_workspace("tiny", [f"{key}={value}" for key, value in SMALL.items()], str(quickstarted.path))
    found = training_samples(workspace, "lucidflux/1")
    assert {name: sorted({word.partition(".")[0] for word in one.statistics}) for name, one in found.items()} == {
        "training set": ["output"],
        "training LQ": ["input"],
    }
    assert found["training LQ"].rows.keys() == found["training set"].rows.keys()  # the same pictures, damaged and whole
    assert training_samples(workspace, "nobody/3") == {}
