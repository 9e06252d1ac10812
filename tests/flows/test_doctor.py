import pytest

from flows import doctor
from flows.doctor import examine
from flows.settings import load
from flows.workspace import Workspace


def found(tmp_path, *overrides):
    workspace = Workspace(load("tiny", list(overrides)), tmp_path)
    return {finding.what: finding for finding in examine(workspace).findings}


def test_the_shipped_weights_are_found_and_load(tmp_path):
    assert found(tmp_path)["weights"].state == "ok"


def test_missing_weights_and_a_server_that_is_away_are_told_with_what_to_do(tmp_path):
    told = found(tmp_path, f"base={tmp_path}", "backend.mlflow=http://127.0.0.1:9")
    assert told["weights"].state == "missing"
    assert "base=FOLDER" in told["weights"].said
    assert told["MLflow server"].state == "missing"
    assert "start it" in told["MLflow server"].said


def test_a_machine_without_a_gpu_is_told_what_the_processor_needs(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    profile = load("tiny")
    (told,) = doctor._memory(Workspace(profile, tmp_path))
    assert told.state == "ok"
    assert f"tiny at {profile.sampler.tile_px} px runs on the processor in mode full" in told.said


@pytest.mark.parametrize(
    ("free_gib", "state", "words"),
    [
        (80, "ok", ("mode full",)),
        (24, "ok", ("mode offload", "changed results: mode low")),
        (6, "ok", ("mode offload",)),
        (1, "note", ("no mode", "sampler.tile_px")),
    ],
)
def test_each_gpu_is_told_which_mode_fits(tmp_path, monkeypatch, free_gib, state, words):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda index: (free_gib * 2**30, 96 * 2**30))
    workspace = Workspace(load("tiny", [f"base={tmp_path}", "sampler.tile_px=1024"]), tmp_path)
    (told,) = doctor._memory(workspace)
    assert told.state == state
    assert all(word in told.said for word in words)
    assert ("changed results" in told.said) == (free_gib == 24)
