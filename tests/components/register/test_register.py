import ast
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.errors import RegistryError, WeightsError
from components.imaging import codec
from components.register.card import model_card
from components.register.lineage import fetch_parts, lineage
from components.register.register import REPOSITORY, REQUIREMENTS, describe, register_run
from components.register.settings import RegisterSettings

OURS = RegisterSettings(base_licence="Apache-2.0")


def register(tracker, trained, **changes):
    values = {"base": trained.base, "store": trained.store, "git_revision": "abc"} | changes
    report = values.pop("report", trained.report)
    return register_run(tracker, values.pop("run", trained.run), report, OURS, **values)


def facts(trained, settings=OURS):
    return describe(trained.run, trained.report, settings, store=trained.store, git_revision="abc")


def test_the_lineage_lists_the_images_that_were_trained_on(trained):
    described, images = facts(trained)
    assert images == ["1" * 64, "3" * 64]
    assert described["training_images"] == 2
    assert described["training_licences"] == {"CC0": 1, "own": 1}
    assert described["dataset_version"] == "d.dir"
    assert described["git_revision"] == "abc"
    assert set(described["expectations"]) == {"ingest", "curate_before", "curate_after", "pairs"}


def test_the_card_says_what_may_not_be_sold(trained):
    ours = model_card(trained.run, trained.report, OURS, facts(trained)[0])
    assert "No FLUX.1-dev weights" in ours
    assert "pyiqa, which may be used for non-commercial purposes only" in ours
    assert "| restored | 22.000 | 3 |" in ours
    theirs = model_card(trained.run, trained.report, RegisterSettings(), facts(trained)[0])
    assert "The frozen parts are FLUX.1-dev" in theirs
    assert "No FLUX" not in theirs


def test_a_report_on_another_checkpoint_is_refused(trained, tracker):
    other = trained.report.model_copy(update={"checkpoint_sha256": "0" * 64})
    with pytest.raises(RegistryError, match="Evaluate this run"):
        register(tracker, trained, report=other)


def imported(module, seen):
    """Third-party packages that a module of ours needs, by its import statements."""
    path = REPOSITORY / Path(*module.split("."))
    path = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
    if module in seen or not path.is_file():
        return set()
    seen.add(module)
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            top = name.partition(".")[0]
            found |= imported(name, seen) if top in ("components", "models") else {top} - set(sys.stdlib_module_names)
    return found


def test_the_requirements_name_everything_that_the_served_code_imports():
    wheels = importlib.metadata.packages_distributions() | {"torchao": [], "pillow_heif": []}  # extras
    needed = {wheel.lower() for name in imported("components.register.model", set()) for wheel in wheels[name]}
    assert {name for name in needed if not name.startswith("mlflow-")} == set(REQUIREMENTS)


@pytest.fixture(scope="module")
def registered(tracker, trained):
    run_id = tracker.start_run("k", name="train", settings={}, tags={})
    mine = type(trained)(trained.base, trained.store, trained.run.model_copy(update={"run_id": run_id}), trained.report)
    return mine, register(tracker, mine)


@pytest.mark.e2e
def test_registering_again_gives_the_same_version(tracker, registered):
    trained, version = registered
    assert (version.version, version.alias, version.licence) == (1, "challenger", "Apache-2.0")
    assert register(tracker, trained) == version


@pytest.mark.e2e
def test_other_frozen_parts_are_refused(tracker, registered):
    trained, _ = registered
    other = trained.run.model_copy(update={"base": {"backbone.safetensors": "0" * 64}})
    with pytest.raises(WeightsError, match=r"backbone\.safetensors"):
        register(tracker, trained, run=other)


@pytest.mark.e2e
def test_the_version_alone_leads_back_to_everything(tracker, registered):
    trained, _ = registered
    found = lineage(tracker, "lucidflux@challenger")
    pairs = trained.run.pairs
    assert found["model"] == "lucidflux/1"
    assert found["dataset_version"] == pairs.curation.dataset.dvc_md5
    assert found["manifest"] == pairs.curation.dataset.manifest.sha256
    assert found["curated_manifest"] == pairs.curation.manifest.sha256
    assert found["settings"] == trained.run.settings
    assert found["git_revision"] == "abc"
    assert found["expectations_passed"] is True
    assert found["evaluation"]["scores_manifest"] == trained.report.scores.sha256
    assert found["training_images"] == ["1" * 64, "3" * 64]
    assert found["base"] == trained.run.base
    tags = tracker.tags(tracker.resolve("lucidflux/1"))
    assert tags["lucidflux.dataset_version"] == "d.dir"
    assert tags["lucidflux.checkpoint"] == trained.run.checkpoint_sha256


@pytest.mark.e2e
def test_code_travels_without_caches_and_weights_once(tracker, registered, tmp_path):
    _, version = registered
    model = tracker.download(version, tmp_path)
    files = [path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()]
    assert "code/components/imaging/restorer.py" in files
    assert not [name for name in files if "__pycache__" in name or "/tests/" in name]
    weights = [Path(name).name for name in files if name.endswith(".safetensors")]
    assert sorted(weights) == sorted(set(weights))
    assert {"adapter.safetensors", "backbone.safetensors"} <= set(weights)
    assert "card.md" in files
    assert not any(path.is_symlink() for path in model.rglob("*"))


@pytest.mark.e2e
def test_the_weights_of_a_version_are_fetched_once(tracker, registered, tmp_path):
    trained, version = registered
    parts = fetch_parts(tracker, version, tmp_path)
    assert parts.adapter.read_bytes() == trained.store.read(trained.run.checkpoint)
    assert parts.sampler.steps == 2
    before = parts.adapter.stat().st_ino
    assert fetch_parts(tracker, version, tmp_path).adapter.stat().st_ino == before
    assert len(list(tmp_path.iterdir())) == 1


PROGRAM = """
import json, sys
import mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/lucidflux@champion")
data = open("photo.jpg", "rb").read()
out = model.predict(pandas.DataFrame({"image": [data]}), params={"seed": 3})
open("restored.png", "wb").write(out["image"].iloc[0])
import components
heavy = {"pyiqa", "dvc", "great_expectations", "prefect"} & set(sys.modules)
print(json.dumps({"code": components.__path__[0], "heavy": sorted(heavy)}))
"""


@pytest.mark.e2e
def test_the_champion_loads_in_a_new_process_and_restores_a_jpeg(tracker, registered, tmp_path):
    _, version = registered
    tracker.set_alias("lucidflux", "champion", version.version)
    image_u8 = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    (tmp_path / "photo.jpg").write_bytes(codec.encode_jpeg(image_u8, 90))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tracker.uri], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["heavy"] == []
    assert not said["code"].startswith(str(REPOSITORY))
    assert codec.decode((tmp_path / "restored.png").read_bytes()).image_u8.shape == (70, 90, 3)
