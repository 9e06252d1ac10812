import os
from pathlib import Path

import pytest

from components.backends.storage import LocalStorage, open_storage
from components.errors import StorageError


def test_a_put_object_is_read_whole_and_in_part(tmp_path):
    store = open_storage(f"file://{tmp_path}")
    store.put("a/b.bin", b"0123456789")
    assert store.read("a/b.bin") == b"0123456789"
    assert store.read_range("a/b.bin", 3, 4) == b"3456"
    assert store.fetch("a/b.bin").read_bytes() == b"0123456789"


def test_a_range_past_the_end_is_refused(tmp_path):
    store = LocalStorage(tmp_path)
    store.put("x", b"0123")
    with pytest.raises(StorageError, match="cut"):
        store.read_range("x", 2, 3)


def test_a_missing_object_names_key_and_root(tmp_path):
    with pytest.raises(StorageError, match=r"gone\.bin"):
        LocalStorage(tmp_path).read("gone.bin")


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a/../../x", ""])
def test_a_key_that_leaves_the_root_is_refused(tmp_path, key):
    with pytest.raises(StorageError):
        LocalStorage(tmp_path).put(key, b"")


def test_a_failed_write_leaves_the_old_object_and_no_rest(tmp_path):
    store = LocalStorage(tmp_path)
    store.put("x", b"old")
    with pytest.raises(StorageError):
        store.put_file("x", tmp_path / "not there")
    assert store.read("x") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_leftovers_of_a_killed_write_are_not_listed(tmp_path):
    store = LocalStorage(tmp_path)
    store.put("a/x", b"1")
    (tmp_path / "a" / ".y.0123.partial").write_bytes(b"half")
    assert list(store.list()) == ["a/x"]


def test_a_listing_says_size_and_changes_its_stamp_with_the_content(tmp_path):
    store = LocalStorage(tmp_path)
    store.put("a/x", b"1")
    (before,) = store.listing()
    store.put("a/x", b"22")
    (after,) = store.listing()
    assert (before.key, before.bytes, after.bytes) == ("a/x", 1, 2)
    assert before.stamp != after.stamp


def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(StorageError, match="--home"):
        LocalStorage(blocked).put("x", b"1")


def test_an_unknown_scheme_is_refused():
    with pytest.raises(StorageError, match="gs://"):
        open_storage("gs://bucket")


@pytest.fixture(scope="module")
def s3_endpoint():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_endpoint, monkeypatch, tmp_path):
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{os.getpid()}-{tmp_path.name.replace('_', '-').lower()}"[:60]
    boto3.client("s3").create_bucket(Bucket=bucket)
    return open_storage(f"s3://{bucket}/prefix", cache=tmp_path / "cache")


def test_s3_offers_what_a_folder_offers(s3, tmp_path):
    (tmp_path / "file").write_bytes(b"from disk")
    s3.put("a/x", b"0123456789")
    s3.put_file("a/y", tmp_path / "file")
    assert s3.read_range("a/x", 3, 4) == b"3456"
    assert s3.read("a/y") == b"from disk"
    assert list(s3.list("a/")) == ["a/x", "a/y"]
    assert [(listed.key, listed.bytes) for listed in s3.listing("a/")] == [("a/x", 10), ("a/y", 9)]
    assert s3.exists("a/x")
    assert not s3.exists("a/z")
    assert Path(s3.fetch("a/x")).read_bytes() == b"0123456789"
    with pytest.raises(StorageError):
        s3.read("a/z")
