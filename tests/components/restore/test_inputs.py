import pytest

from components.errors import SourceError
from components.restore.inputs import Input, find_inputs, plan_outputs


def test_a_folder_gives_its_visible_files_mirrored(tmp_path):
    for name in ("a.jpg", "sub/b.png", ".hidden/c.png", ".d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [item.origin for item in find_inputs([str(tmp_path)])] == ["a.jpg", "sub/b.png"]


def test_a_file_named_twice_is_restored_once(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    assert len(find_inputs([str(tmp_path / "a.jpg"), str(tmp_path), str(tmp_path / "*.jpg")])) == 1


def test_what_matches_nothing_is_named(tmp_path):
    with pytest.raises(SourceError, match="matches nothing"):
        find_inputs([str(tmp_path / "*.tif")])
    with pytest.raises(SourceError, match="found none"):
        find_inputs([str(tmp_path)])


def test_outputs_never_share_a_name(tmp_path):
    inputs = [Input(tmp_path / "a.tif", "a.tif"), Input(tmp_path / "a.png", "a.png"), Input(tmp_path / "A.png", "A.png")]
    assert plan_outputs(inputs, ["png", "png", "jpeg"]) == ["a.png", "a-2.png", "A.jpg"]
    assert plan_outputs(inputs, ["png", "png", "png"]) == ["a.png", "a-2.png", "A-3.png"]
