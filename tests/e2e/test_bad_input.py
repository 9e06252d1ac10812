import json

import pytest

from tests.e2e.conftest import run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_a_missing_folder_ends_with_a_sentence_at_once(tmp_path):
    done = run(tmp_path / "home", "quickstart", str(tmp_path / "missing"))
    assert done.returncode == 1
    assert "does not exist" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "home" / "prefect" / "prefect.db").exists()


def test_hostile_files_get_verdicts(test_data, tmp_path):
    done = run(tmp_path / "home", "ingest", str(test_data / "nasty"))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    listed = [path for path in (test_data / "nasty").rglob("*") if path.is_file()]
    assert json.loads(done.stdout)["manifest"]["rows"] == len(listed)
