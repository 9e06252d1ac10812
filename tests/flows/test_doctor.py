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
