import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.backends import manifest
from components.backends.shards import write_shard
from components.backends.storage import LocalStorage, file_sha256
from components.backends.versioning import add_curated, make_version, pull_version, read_pin, write_pin
from components.errors import ManifestError, VersionError
from components.records import Expectations

CHECKED = Expectations(suite="ingest", passed=True, evaluated=1)


def dataset(folder, *pictures):
    """A store with one shard and a manifest over it."""
    store = LocalStorage(folder)
    places = write_shard(store, [(f"{name}.png", name.encode() * 100) for name in pictures])
    rows = [
        {"id": name, "origin": name, "verdict": "kept", **place._asdict()} for name, place in zip(pictures, places, strict=True)
    ]
    rows.append({"id": "", "origin": "broken", "verdict": "failed", "reason": "truncated"})
    return store, manifest.write(store, "images", rows)


def version(home, *pictures, remote=None):
    store, made = dataset(home / "objects", *pictures)
    place = str(remote or home / "remote")
    return make_version("photos", store, made, workspace=home / "dvc", remote=place, expectations=CHECKED, git_revision="abc")


def curated(home, made, *kept, remote=None):
    """The version with a curation beside it that keeps only some pictures."""
    store = LocalStorage(home / "objects")
    rows = [
        row | ({} if row["id"] in kept else {"verdict": "rejected", "reason": "flat"})
        for row in manifest.rows(store, made.manifest)
    ]
    decided = manifest.write(store, "images", rows, parent=made.manifest.sha256)
    place = str(remote or home / "remote")
    return add_curated(made, store, decided, workspace=home / "dvc", remote=place, git_revision="def")


def uploaded(remote):
    return {path.relative_to(remote): path.stat().st_mtime_ns for path in Path(remote).rglob("*") if path.is_file()}


def test_the_same_rows_give_the_same_hash_in_another_home(tmp_path):
    first, second = version(tmp_path / "a", "x", "y"), version(tmp_path / "b", "y", "x")
    assert first.dvc_md5.endswith(".dir")
    assert (first.files, first.manifest.rows) == (2, 3)
    assert first == version(tmp_path / "c", "x", "y")
    assert first.dvc_md5 != second.dvc_md5, "the shard holds the pictures in another order"


def test_a_second_call_uploads_nothing(tmp_path):
    first = version(tmp_path, "x")
    before = uploaded(tmp_path / "remote")
    assert version(tmp_path, "x") == first
    assert uploaded(tmp_path / "remote") == before


def test_an_emptied_remote_is_filled_again(tmp_path):
    version(tmp_path, "x")
    before = set(uploaded(tmp_path / "remote"))
    for path in before:
        (tmp_path / "remote" / path).unlink()
    version(tmp_path, "x")
    assert set(uploaded(tmp_path / "remote")) == before


def test_shards_are_linked_and_not_copied_into_the_workspace(tmp_path):
    version(tmp_path, "x")
    shard = next((tmp_path / "objects" / "shards").iterdir())
    assert (tmp_path / "dvc" / "data" / "shards" / shard.name).samefile(shard)


def test_a_version_is_pulled_into_an_empty_folder_without_git(tmp_path):
    made = version(tmp_path / "here", "x", "y")
    there = tmp_path / "there"
    pulled = pull_version(made, workspace=there / "dvc", remote=str(tmp_path / "here" / "remote"), target=there / "photos")
    assert file_sha256(pulled.manifest) == made.manifest.sha256
    assert (pulled.curated, pulled.written, pulled.unchanged) == (None, 2, 0)
    shard = next((there / "photos" / "shards").iterdir())
    assert file_sha256(shard) == shard.stem


def test_an_older_version_is_pulled_after_a_newer_one_was_made(tmp_path):
    old, new = version(tmp_path, "x"), version(tmp_path, "x", "y")
    assert old.dvc_md5 != new.dvc_md5
    pulled = pull_version(old, workspace=tmp_path / "dvc", remote=str(tmp_path / "remote"), target=tmp_path / "out")
    assert file_sha256(pulled.manifest) == old.manifest.sha256
    assert read_pin(tmp_path / "dvc" / "data.dvc") == new.dvc_md5


def test_a_curation_is_pinned_beside_the_same_shards(tmp_path):
    plain = version(tmp_path, "x", "y")
    before = set(uploaded(tmp_path / "remote"))
    made = curated(tmp_path, plain, "x")
    assert (made.manifest, made.files, made.git_revision) == (plain.manifest, 3, "def")
    assert made.dvc_md5 != plain.dvc_md5
    assert len(set(uploaded(tmp_path / "remote")) - before) == 2, "the curated manifest and the list of the folder"
    assert curated(tmp_path / "b", version(tmp_path / "b", "x", "y"), "x") == made
    assert curated(tmp_path, made, "y").dvc_md5 != made.dvc_md5


def test_a_curation_is_pulled_and_a_second_pull_writes_nothing(tmp_path):
    made = curated(tmp_path, version(tmp_path, "x", "y"), "x")
    there = {"workspace": tmp_path / "w", "remote": str(tmp_path / "remote"), "target": tmp_path / "out"}
    first = pull_version(made, **there)
    assert file_sha256(first.curated) == made.curated.sha256
    assert (first.written, first.unchanged) == (3, 0)
    first.curated.write_bytes(b"spoilt")
    assert pull_version(made, **there)[2:] == (1, 2)
    assert pull_version(made, **there)[2:] == (0, 3)


def test_a_manifest_that_changed_in_the_store_is_not_pinned(tmp_path):
    _, made = dataset(tmp_path / "objects", "x")
    path = tmp_path / "objects" / made.uri
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(ManifestError, match="changed"):
        version(tmp_path, "x")


def test_pulling_from_the_wrong_remote_gives_dvcs_reason(tmp_path):
    made = version(tmp_path, "x")
    with pytest.raises(VersionError, match=made.dvc_md5.removesuffix(".dir")):
        pull_version(made, workspace=tmp_path / "w", remote=str(tmp_path / "empty"), target=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_changed_in_the_remote_is_noticed(tmp_path):
    made = version(tmp_path, "x")
    for path in (tmp_path / "remote").rglob("*"):
        if path.is_file() and path.suffix != ".dir":
            path.chmod(0o644)
            path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(VersionError):
        pull_version(made, workspace=tmp_path / "w", remote=str(tmp_path / "remote"), target=tmp_path / "out")


def test_a_remote_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(VersionError, match="file/remote"):
        version(tmp_path, "x", remote=tmp_path / "file" / "remote")


def test_nothing_is_printed(tmp_path, capfd):
    made = version(tmp_path, "x")
    pull_version(made, workspace=tmp_path / "w", remote=str(tmp_path / "remote"), target=tmp_path / "out")
    with pytest.raises(VersionError):
        pull_version(made, workspace=tmp_path / "v", remote=str(tmp_path / "empty"), target=tmp_path / "other")
    assert capfd.readouterr() == ("", "")


def test_two_threads_take_turns(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda names: version(tmp_path, *names), [("x",), ("x", "y")]))
    assert [one.files for one in made] == [2, 2]
    for one in made:
        pull_version(one, workspace=tmp_path / "w", remote=str(tmp_path / "remote"), target=tmp_path / one.dvc_md5)


def test_the_pin_is_what_dvc_writes(tmp_path):
    made = version(tmp_path, "x")
    write_pin(tmp_path / "clone" / "data.dvc", made)
    assert (tmp_path / "clone" / "data.dvc").read_bytes() == (tmp_path / "dvc" / "data.dvc").read_bytes()
    assert read_pin(tmp_path / "clone" / "data.dvc") == made.dvc_md5


def test_no_pin_is_none(tmp_path):
    assert read_pin(tmp_path / "data.dvc") is None


def test_everything_stays_inside_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", "")
    version(tmp_path, "x")
    assert (tmp_path / "dvc" / ".dvc" / "site").is_dir()


def test_a_workspace_recovers_from_a_wrong_remote(tmp_path):
    with pytest.raises(VersionError, match="ftp"):
        version(tmp_path, "x", remote="ftp://host/folder")
    assert version(tmp_path, "x").files == 2


@pytest.mark.e2e
def test_the_command_line_tool_understands_the_workspace(tmp_path):
    version(tmp_path, "x")
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--cloud"],
        cwd=tmp_path / "dvc",
        capture_output=True,
        text=True,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
        check=True,
    )
    assert "in sync" in done.stdout


@pytest.mark.e2e
def test_a_version_goes_through_s3(tmp_path, s3):
    import boto3

    remote, client = f"s3://{s3}/dvc", boto3.client("s3")
    made = version(tmp_path, "x", "y", remote=remote)
    pull_version(made, workspace=tmp_path / "w", remote=remote, target=tmp_path / "out")
    assert file_sha256(tmp_path / "out" / "images.parquet") == made.manifest.sha256
    keys = [item["Key"] for item in client.list_objects_v2(Bucket=s3)["Contents"]]
    for key in keys:
        client.delete_object(Bucket=s3, Key=key)
    version(tmp_path, "x", "y", remote=remote)
    assert [item["Key"] for item in client.list_objects_v2(Bucket=s3)["Contents"]] == keys
    with pytest.raises(VersionError):
        version(tmp_path, "x", remote="s3://no-such-bucket/dvc")
