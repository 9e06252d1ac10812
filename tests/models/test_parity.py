"""Numbers of the released modules; see tests/golden/README.md for how they were made."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models import bundle, convert, parity
from models.golden import read_config
from models.lucidflux import Adapter

GOLDEN = Path(__file__).parents[1] / "golden"
EXPECTED = parity.expected(GOLDEN)


SAME_EXP = {"MKL_CBWR": "COMPATIBLE"}
"""On Intel processors MKL's exp differs in the last bit from the one the vectors were made with; times 1000 it shows."""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    out = tmp_path_factory.mktemp("parity") / "out.safetensors"
    words = [sys.executable, "-m", "models.parity", str(GOLDEN), "--out", str(out)]
    subprocess.run(words, cwd=GOLDEN.parents[1], env=os.environ | SAME_EXP, check=False, capture_output=True)
    return load_file(out)


@pytest.mark.e2e
@pytest.mark.parametrize("name", EXPECTED)
def test_every_output_is_the_released_one(outputs, name):
    assert parity.difference(outputs[name], EXPECTED[name]) <= parity.TOLERANCE[name.partition("/")[0]]


def stripped(into):
    """The same directory with everything taken out that says what should come out."""
    for file in GOLDEN.glob("*.safetensors"):
        kept = {name: value for name, value in load_file(file).items() if not name.startswith("expected")}
        save_file(kept, into / file.name)
    index = json.loads((GOLDEN / "index.json").read_text())
    (into / "index.json").write_text(json.dumps({"config": index["config"]}))
    cases = json.loads((GOLDEN / "04_schedule.json").read_text())["cases"]
    bare = [{key: case[key] for key in ("mode", "num_steps", "height", "width")} for case in cases]
    (into / "04_schedule.json").write_text(json.dumps({"cases": bare}))
    return into


def test_nothing_that_is_expected_is_needed(tmp_path, capsys):
    outputs = parity.run(GOLDEN)
    assert parity.main([str(stripped(tmp_path)), "--out", str(tmp_path / "out.safetensors")]) == 0
    again = load_file(tmp_path / "out.safetensors")
    assert again.keys() == EXPECTED.keys()
    for name, value in again.items():
        assert torch.equal(value, outputs[name]), name
    assert "58 outputs" in capsys.readouterr().out


def test_a_missing_weight_file_is_a_sentence(tmp_path, capsys):
    for name in ("index.json", "06_connector.safetensors"):
        shutil.copy(GOLDEN / name, tmp_path)
    assert parity.main([str(tmp_path)]) == 2
    assert "weights_lucidflux.safetensors" in capsys.readouterr().err


def test_a_wrong_output_is_said_and_fails(tmp_path, capsys):
    for name in ("index.json", "weights_lucidflux.safetensors"):
        shutil.copy(GOLDEN / name, tmp_path)
    unit = load_file(GOLDEN / "06_connector.safetensors")
    save_file(unit | {"expected": unit["expected"] + 1e-3}, tmp_path / "06_connector.safetensors")
    assert parity.main([str(tmp_path)]) == 1
    assert "DIFFERS" in capsys.readouterr().out


OTHER = {
    "hidden_size": 48,
    "num_heads": 3,
    "axes_dim": [4, 8, 4],
    "depth": 2,
    "depth_single_blocks": 1,
    "mlp_ratio": 2.0,
    "theta": 500,
    "vec_in_dim": 10,
    "context_in_dim": 12,
    "controlnet_depth": 3,
    "guidance_embed": False,
    "qkv_bias": False,
    "height": 64,
    "width": 96,
    "txt_len": 3,
}


def other_golden(into):
    """Another network, written in the released layouts with other sizes everywhere; inputs of the units that need few."""
    sizes = json.loads((GOLDEN / "index.json").read_text())["config"] | OTHER
    sizes["swinir"] |= {"embed_dim": 12, "depths": [2], "num_heads": [2], "window_size": 4, "unshuffle_scale": 4, "sf": 4}
    sizes["ae"] |= {"ch_mult": [1, 1, 2, 2], "num_res_blocks": 2}
    sizes["siglip_config"] |= {"hidden_size": 16, "image_size": 48, "num_hidden_layers": 1}
    config = read_config(sizes, hint_channels=16)
    torch.manual_seed(5)
    modules = {
        "lucidflux": ("adapter", Adapter(config)),
        "flux": ("backbone", bundle.build_backbone(config.backbone, config.latent)),
        "ae": ("autoencoder", bundle.build(config).autoencoder),
        "swinir": ("prior", bundle.build_prior(config.prior)),
        "siglip": ("encoder", bundle.build_encoder(config.encoder)),
    }
    for name, (part, module) in modules.items():
        state = convert.state(convert.to_released(part, module.state_dict(), config))
        state = {key: value for key, value in state.items() if name == "swinir" or not key.endswith("qkv.bias")}
        save_file(state, into / f"weights_{name}.safetensors")
    (into / "index.json").write_text(json.dumps({"config": sizes}))
    save_file({"image": torch.rand(1, 3, 16, 48)}, into / "09_swinir.safetensors")
    inputs = {
        "lq_uint8": torch.randint(0, 256, (50, 70, 3), dtype=torch.uint8),
        "noise": torch.randn(1, 16, 8, 12),
        "txt": torch.randn(1, 3, 12),
        "vec": torch.randn(1, 10),
        "guidance": torch.tensor([4.0]),
    }
    save_file(inputs, into / "11_end_to_end.safetensors")
    return into


def test_nothing_about_sizes_is_assumed(tmp_path):
    outputs = parity.run(other_golden(tmp_path))
    assert outputs["11_end_to_end/expected_result"].shape == (3, 64, 96)
    assert outputs["09_swinir/expected"].shape == (1, 3, 16, 48)
    assert all(torch.isfinite(value).all() for value in outputs.values())
