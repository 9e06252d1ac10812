import json

import numpy as np
import pytest
from typer.testing import CliRunner

from components.imaging import codec
from flows.__main__ import app
from models.config import CONFIG_FILE


@pytest.mark.e2e
def test_a_stage_runs_from_the_command_line(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (220, 240, 3), dtype=np.uint8)
    (photos / "one.png").write_bytes(codec.encode_png(noise))
    out = tmp_path / "bundle"
    words = ["--home", str(tmp_path / "home"), "pretrain", str(photos), "--out", str(out)]
    result = CliRunner().invoke(app, [*words, "--stage", "prior", "--steps", "2"])
    assert result.exit_code == 0, result.output
    assert json.loads((out / "loss.json").read_text())["prior"]["steps"] == 2
    assert {path.name for path in out.iterdir()} == {CONFIG_FILE, "prior.safetensors", "loss.json"}


def test_an_unknown_stage_is_a_sentence_with_a_suggestion(tmp_path):
    words = ["--home", str(tmp_path / "home"), "pretrain", str(tmp_path), "--out", str(tmp_path / "out"), "--stage", "backbon"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "Did you mean" in result.stderr
