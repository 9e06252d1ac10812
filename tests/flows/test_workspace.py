import pytest

from components.errors import StorageError, WeightsError
from flows.settings import load
from flows.workspace import Workspace, git_revision, open_workspace


def test_everything_of_a_home_lies_inside_it(tmp_path):
    workspace = open_workspace("tiny", [], str(tmp_path / "home"))
    assert workspace.objects == str(tmp_path / "home" / "objects")
    assert workspace.remote == str(tmp_path / "home" / "remote")
    assert workspace.tracker.uri == f"sqlite:///{tmp_path / 'home' / 'mlflow' / 'mlflow.db'}"


def test_a_backend_setting_moves_the_objects(tmp_path):
    workspace = open_workspace("tiny", [f"backend.objects={tmp_path / 'elsewhere'}"], str(tmp_path / "home"))
    assert workspace.store.root == str(tmp_path / "elsewhere")


def test_a_home_that_cannot_be_written_says_what_to_do():
    with pytest.raises(StorageError, match="LUCIDFLUX_HOME"):
        open_workspace("tiny", [], "/proc/lucidflux")


def test_frozen_parts_are_named_by_hash_and_a_missing_one_is_a_sentence(tmp_path):
    assert all(len(digest) == 64 for digest in Workspace(load("tiny"), tmp_path).base_hashes.values())
    with pytest.raises(WeightsError):
        _ = Workspace(load("tiny", [f"base={tmp_path}"]), tmp_path).base_hashes


def test_the_revision_is_of_this_clone():
    assert len(git_revision().partition("+")[0]) == 40
