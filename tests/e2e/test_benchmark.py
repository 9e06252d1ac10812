import json

import numpy as np
import pytest
from PIL import Image

from models.config import NetworkConfig
from models.lucidflux import Adapter
from tests.e2e.conftest import ROOT, run

pytestmark = pytest.mark.e2e


@pytest.fixture
def lucidflux(tmp_path):
    return lambda *words: run(tmp_path / "home", *map(str, words), settings={})


def test_a_benchmark_is_listed_and_its_name_is_not_given_to_other_pictures(lucidflux, tmp_path):
    for seed, folder in enumerate(("first", "second")):
        (tmp_path / folder).mkdir()
        picture = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(picture).resize((256, 256)).save(tmp_path / folder / "a.png")
    made = lucidflux("benchmark", "add", "held-out", tmp_path / "first")
    assert made.returncode == 0, made.stderr
    record = json.loads(made.stdout)["benchmarks"][0]
    assert (record["name"], record["images"]["rows"], record["count"]) == ("held-out", 1, 1)
    refused = lucidflux("benchmark", "add", "held-out", tmp_path / "second")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert record["images"]["sha256"][:12] in lucidflux("benchmark", "list").stdout


def pictures(folder, names):
    """Noisy LQ and smooth HQ of 64 px."""
    rows, columns = np.mgrid[:64, :64]
    for number, name in enumerate(names):
        hq = np.stack([rows * 3, columns * 3, np.full_like(rows, 60 * number)], axis=-1).astype(np.uint8)
        noise = np.random.default_rng(number).normal(0, 30, hq.shape)
        for side, picture in ("hq", hq), ("lq", np.clip(hq + noise, 0, 255).astype(np.uint8)):
            (folder / side).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / side / f"{name}.png")


def test_a_model_and_pictures_of_others_are_measured_and_compared(lucidflux, tmp_path):
    pictures(tmp_path / "own", "abc")
    adapter = tmp_path / "adapter.safetensors"
    Adapter(NetworkConfig.load(ROOT / "models" / "tiny")).save(adapter)
    few = ("--set", "benchmark.metrics=['psnr', 'niqe']")
    bench = ("--benchmark", tmp_path / "own")
    others = lucidflux(*few, "evaluate", *bench, "--outputs", tmp_path / "own" / "hq", "--label", "truth")
    assert others.returncode == 0, others.stderr
    made = lucidflux(*few, "evaluate", f"file:{adapter}", *bench, "--steps", "1", "--against", "truth")
    assert made.returncode == 0, made.stderr
    record = json.loads(made.stdout)
    means = {cell["method"]: cell["mean"] for cell in record["summaries"] if cell["metric"] == "psnr"}
    assert set(means) == {"lq", "lrp", "restored", "restored, 1 step"}
    assert "niqe" in record["skipped"]
    (paired,) = record["paired"]
    assert (record["against"], paired["n"], paired["losses"]) == ("truth", 3, 3)
    html = (tmp_path / "home" / "objects" / record["html"]).read_text()
    assert "Against truth" in html


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("evaluate", "run:x", "--benchmark", "reallq250"), "Put it there, with lq inside"),
        (("evaluate",), "run:ID"),
        (("benchmark", "build", "div2k", "x"), "div2k-val"),
    ],
)
def test_what_cannot_be_measured_is_a_sentence(lucidflux, tmp_path, words, said):
    pictures(tmp_path / "own", "a")
    done = lucidflux(*[str(tmp_path / "own") if word == "OWN" else word for word in words])
    assert done.returncode in {1, 2}
    assert said in done.stderr
    assert "Traceback" not in done.stderr
