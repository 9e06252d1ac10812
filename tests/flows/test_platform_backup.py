"""State out to one file and back, over real databases."""

import io
import json
import sqlite3
import tarfile
import threading
from contextlib import closing

import pytest

from components.errors import StorageError
from flows.operations import backup, record
from flows.workspace import open_workspace


@pytest.fixture
def workspace(tmp_path):
    made = open_workspace("tiny", (), str(tmp_path / "home"))
    for name, text in ((backup.MLFLOW, "registry"), (backup.PREFECT, "runs")):
        write(made.home / name, text)
    made.ledger.append("promoted", who="Ann", model="lucidflux", version=3, previous_version=None, details={}, reason="better")
    record.save(made.home, record.Platform(token="t", ports={"prefect": 4200}))
    artifact = made.home / "mlflow" / "artifacts" / "models" / "weights.bin"
    artifact.parent.mkdir(parents=True)
    artifact.write_bytes(b"weights")
    return made


def write(path, text):
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("pragma journal_mode = wal")
        database.execute("create table if not exists said (text)")
        database.execute("insert into said values (?)", (text,))


def said(path):
    with closing(sqlite3.connect(path)) as database:
        return [text for (text,) in database.execute("select text from said")]


def another(tmp_path):
    return open_workspace("tiny", (), str(tmp_path / "other"))


def test_state_comes_back_in_another_home(workspace, tmp_path):
    file = tmp_path / "state.tar.gz"
    made = backup.backup(workspace, file)
    assert made.artifacts == 1
    back = another(tmp_path)
    restored = backup.restore(back, file)
    assert said(back.home / backup.MLFLOW) == ["registry"]
    assert said(back.home / backup.PREFECT) == ["runs"]
    assert back.ledger.verify() == 1
    assert record.load(back.home).ports == {"prefect": 4200}
    assert restored.missing == ("models/weights.bin",)
    assert set(restored.files) == set(made.files)


def test_the_ledger_is_in_it_as_text(workspace, tmp_path):
    backup.backup(workspace, tmp_path / "state.tar")
    with tarfile.open(tmp_path / "state.tar") as tar:
        (line,) = tar.extractfile(backup.LEDGER).read().splitlines()
    assert json.loads(line)["who"] == "Ann"


def test_a_copy_made_while_others_write_is_whole(workspace, tmp_path):
    ended = threading.Event()
    path = workspace.home / backup.MLFLOW

    def keep_writing():
        while not ended.is_set():
            write(path, "more")

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        before = len(said(path))
        backup.backup(workspace, tmp_path / "state.tar")
    finally:
        ended.set()
        writer.join()
    back = another(tmp_path)
    backup.restore(back, tmp_path / "state.tar")
    assert before <= len(said(back.home / backup.MLFLOW)) <= len(said(path))


def test_state_that_is_there_is_put_aside_only_when_forced(workspace, tmp_path):
    file = tmp_path / "state.tar"
    backup.backup(workspace, file)
    write(workspace.home / backup.MLFLOW, "later")
    with pytest.raises(StorageError, match="--force"):
        backup.restore(workspace, file)
    assert said(workspace.home / backup.MLFLOW) == ["registry", "later"]
    done = backup.restore(workspace, file, force=True)
    assert said(workspace.home / backup.MLFLOW) == ["registry"]
    (kept,) = workspace.home.glob("before-restore-*")
    assert done.aside == str(kept)
    assert said(kept / backup.MLFLOW) == ["registry", "later"]
    assert done.missing == ()


def test_a_changed_backup_touches_nothing(workspace, tmp_path):
    file, changed = tmp_path / "state.tar", tmp_path / "changed.tar"
    backup.backup(workspace, file)
    with tarfile.open(file) as old, tarfile.open(changed, "w") as new:
        for member in old:
            data = old.extractfile(member).read().replace(b"Ann", b"Eve")
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    with pytest.raises(StorageError, match="changed or damaged"):
        backup.restore(another(tmp_path), changed)
    assert not (tmp_path / "other" / backup.STATE).exists()


@pytest.mark.parametrize("content", [b"", b"not a tar", b"\x1f\x8b\x08\x00cut"])
def test_a_file_that_is_no_backup_is_a_sentence(content, tmp_path):
    file = tmp_path / "state.tar"
    file.write_bytes(content)
    with pytest.raises(StorageError, match="lucidflux backup"):
        backup.restore(another(tmp_path), file)


def test_a_cut_backup_is_a_sentence(workspace, tmp_path):
    file = tmp_path / "state.tar"
    backup.backup(workspace, file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(StorageError):
        backup.restore(another(tmp_path), file)
    assert not (tmp_path / "other" / backup.STATE).exists()


def test_an_empty_home_has_nothing_to_back_up(tmp_path):
    with pytest.raises(StorageError, match="--home"):
        backup.backup(another(tmp_path), tmp_path / "state.tar")
    assert not (tmp_path / "state.tar").exists()


def test_a_damaged_database_is_not_backed_up(workspace, tmp_path):
    path = workspace.home / backup.MLFLOW
    path.with_name("mlflow.db-wal").unlink(missing_ok=True)
    path.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    with pytest.raises(StorageError, match=r"mlflow\.db"):
        backup.backup(workspace, tmp_path / "state.tar")
