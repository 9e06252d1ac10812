import json

import numpy as np
import pytest
from PIL import Image

from tests.e2e.conftest import run

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
