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
from components.records import Paired, Worst
from components.register.card import brief, model_card
from components.register.description import describe
from components.register.lineage import fetch_parts, lineage
from components.register.register import REPOSITORY, REQUIREMENTS, register_run
from components.register.settings import RegisterSettings
from models.tensors import read

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
    assert described["training_sources"] == {"archive": 1, "home": 1}
    assert described["outcomes_by_source"] == {"archive": {"kept": 2}, "home": {"kept": 1, "rejected:flat": 1}}
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


def test_the_pictures_with_the_worst_scores_are_named_the_worst_first(trained):
    worst = facts(trained)[0]["worst"]
    assert [(row["benchmark"], row["image_id"][0], row["value"]) for row in worst[:3]] == [
        ("moderate", "5", 18.0),
        ("moderate", "6", 20.0),
        ("moderate", "7", 21.0),
    ]
    assert len(worst) == 6


def card(trained, *, cost=None, **changes):
    described = facts(trained)[0] | ({"cost": cost} if cost else {})
    return model_card(trained.run, trained.report.model_copy(update=changes), OURS, described)


def test_the_card_counts_the_data_by_licence_source_and_reason(trained):
    written = card(trained)
    assert "| CC0 | 1 |\n| own | 1 |" in written
    assert "| archive | 1 |\n| home | 1 |" in written
    assert "| rejected:flat | 1 |" in written
    assert "| moderate | psnr | `555555555555` (18.000), `666666666666` (20.000)" in written


def test_the_card_shows_an_interval_where_the_report_has_one(trained):
    first, *rest = trained.report.summaries
    written = card(trained, summaries=(first.model_copy(update={"interval": (19.5, 20.25)}), *rest))
    assert "| lq | 20.000 [19.500, 20.250] | 3 |" in written
    assert "| restored | 22.000 | 3 |" in written


def test_the_card_compares_with_the_champion_only_where_there_is_one(trained):
    assert "champion" not in card(trained)
    one = Paired(
        benchmark="heavy", metric="psnr", n=9, mean=0.5, interval=(0.25, 0.75), p_value=0.01, p_holm=0.02,
        wins=7, ties=0, losses=2, worst=(Worst(image_id="9" * 64, difference=-0.125),),
    )  # fmt: skip
    written = card(trained, champion="c" * 64, paired=(one,))
    assert "| heavy | psnr | +0.500 [+0.250, +0.750] | 7/0/2 | 0.02 | 9 |" in written
    assert "`999999999999` -0.125" in written


def test_the_card_invents_no_cost(trained):
    assert "| training, most GPU memory, GiB | not recorded |" in card(trained)
    assert "| training, most GPU memory, GiB | 41.5 |" in card(trained, cost={"training_gpu_memory_gib": 41.5})


def test_a_short_card_is_the_whole_description(trained):
    whole = card(trained)
    assert brief(whole, most=len(whole)) == whole


@pytest.mark.parametrize("most", [600, 2000, 3000, 4000])
def test_a_long_card_leaves_out_whole_sections_and_names_them(trained, most):
    whole = card(trained)
    short = brief(whole, most)
    assert len(short) <= most < len(whole)
    sections = {text.partition("\n")[0]: text.strip() for text in whole.split("\n\n## ")}
    told = short.rsplit("left out here: ", 1)[1].rstrip(".\n").split(", ")
    kept = [title for title in sections if title not in told]
    assert all(sections[title] in short for title in kept)
    assert not any(f"## {title}" in short for title in told)


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
    for step, seconds in ((1, 1000.0), (2, 1400.0)):
        tracker.log_metrics(run_id, step, {"seconds": seconds, "memory_gib": step / 2})
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
    assert found["evaluation"]["benchmarks"] == ["moderate", "heavy"]
    cost = found["cost"]
    assert (cost["updates"], cost["training_hours"], cost["training_memory_gib"]) == (3, 1.0, 1.0)
    assert "training_gpu_memory_gib" not in cost
    assert "seconds_per_picture" not in cost
    assert cost["trained_parameters"] == sum(
        tensor.numel() for tensor in read(trained.store.fetch(trained.run.checkpoint)).values()
    )
    tags = tracker.tags(tracker.resolve("lucidflux/1"))
    assert tags["lucidflux.dataset_version"] == "d.dir"
    assert tags["lucidflux.checkpoint"] == trained.run.checkpoint_sha256


@pytest.mark.e2e
def test_the_run_names_what_it_was_evaluated_on(tracker, registered):
    trained, _ = registered
    register(tracker, trained)
    inputs = tracker.client.get_run(trained.run.run_id).inputs.dataset_inputs
    curated = trained.run.pairs.curation.manifest
    assert [(one.dataset.digest, one.dataset.source, one.tags[0].value) for one in inputs] == [
        (curated.sha256[:36], curated.uri, "evaluation")
    ]


@pytest.mark.e2e
def test_the_signature_lets_the_model_have_its_own_steps_and_fidelity(tracker, registered, tmp_path):
    from mlflow.models import Model

    loaded = Model.load(str(tracker.download(registered[1], tmp_path)))
    params = loaded.signature.params.params
    assert [(one.name, one.dtype.name, one.default) for one in params] == [
        ("seed", "long", 0),
        ("steps", "long", None),
        ("fidelity", "double", None),
    ]
    assert [(one.name, one.type.name) for one in loaded.signature.outputs.inputs] == [("image", "binary")]
    assert loaded.flavors["python_function"]["config"]["max_pixels"] == 64_000_000


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
