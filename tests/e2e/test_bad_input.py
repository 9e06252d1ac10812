import json

import pytest

from tests.e2e.conftest import run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.mark.parametrize(("kind", "message"), [("missing", "does not exist"), ("empty", "found none"), ("notes", "found none")])
def test_a_folder_without_photos_ends_with_a_sentence(tmp_path, kind, message):
    folder = tmp_path / kind
    if kind != "missing":
        folder.mkdir()
    if kind == "notes":
        (folder / "readme.txt").write_text("no photo")
    done = run(tmp_path / "home", "quickstart", str(folder))
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_hostile_files_get_verdicts(test_data, tmp_path):
    done = run(tmp_path / "home", "ingest", str(test_data / "nasty"))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    listed = [path for path in (test_data / "nasty").rglob("*") if path.is_file()]
    assert json.loads(done.stdout)["manifest"]["rows"] == len(listed)
