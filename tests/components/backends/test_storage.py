import gc
import random
from pathlib import Path

import pytest

from components.backends import s3 as s3_storage
from components.backends.storage import LocalStorage, open_storage
from components.errors import StorageError
from tests import faulty_s3


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


def test_a_deleted_object_is_gone_and_deleting_it_again_is_no_error(tmp_path):
    store = LocalStorage(tmp_path)
    store.put("a/x", b"1")
    store.put("a/y", b"2")
    store.delete("a/x")
    store.delete("a/x")
    assert list(store.list()) == ["a/y"]
    (tmp_path / "a" / "folder").mkdir()
    with pytest.raises(StorageError, match="a/folder"):
        store.delete("a/folder")


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


@pytest.fixture
def s3(s3, monkeypatch, tmp_path):
    monkeypatch.setattr(s3_storage, "BACK_OFF_S", 0.002)
    return open_storage(f"s3://{s3}/prefix", cache=tmp_path / "cache")


@pytest.fixture
def spoil(s3_server, monkeypatch):
    """Spoil a share of the answers, or only those of one kind, from now on."""

    def begin(share, *kinds):
        _, layer = s3_server
        layer.spoilt.clear()
        layer.requests.clear()
        monkeypatch.setattr(faulty_s3, "KINDS", kinds or faulty_s3.KINDS)
        monkeypatch.setattr(layer, "share", share)
        return layer

    return begin


@pytest.mark.e2e
def test_s3_offers_what_a_folder_offers(s3, tmp_path):
    (tmp_path / "file").write_bytes(b"from disk")
    s3.put("a/x", b"0123456789")
    s3.put_file("a/y", tmp_path / "file")
    s3.put("a/empty", b"")
    assert s3.read_range("a/x", 3, 4) == b"3456"
    assert s3.read("a/y") == b"from disk"
    assert s3.size("a/y") == 9
    assert list(s3.list("a/")) == ["a/empty", "a/x", "a/y"]
    assert s3.exists("a/x")
    assert not s3.exists("a/z")
    assert Path(s3.fetch("a/x")).read_bytes() == b"0123456789"
    assert Path(s3.fetch("a/empty")).read_bytes() == b""
    with pytest.raises(StorageError):
        s3.read("a/z")
    s3.delete("a/x")
    s3.delete("a/x")
    assert list(s3.list("a/")) == ["a/empty", "a/y"]


@pytest.mark.e2e
def test_copies_without_a_cache_go_with_the_storage(s3):
    s3.put("x", b"0123")
    storage = open_storage(s3.root)
    copy = storage.fetch("x")
    assert copy.read_bytes() == b"0123"
    del storage
    gc.collect()
    assert not copy.exists()


@pytest.mark.e2e
def test_a_range_past_the_end_is_refused_by_s3_too(s3):
    s3.put("x", b"0123")
    with pytest.raises(StorageError, match="cut"):
        s3.read_range("x", 2, 3)
    with pytest.raises(StorageError):
        s3.read_range("x", 4, 1)


@pytest.mark.e2e
def test_a_fifth_of_spoilt_answers_changes_nothing(s3, spoil, monkeypatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "7")
    layer = spoil(0.2)
    objects = {f"a/{number:03}": bytes([number]) * (1 + 997 * number) for number in range(30)}
    for key, data in objects.items():
        assert not s3.exists(key)
        s3.put(key, data)
    assert [(listed.key, listed.bytes) for listed in s3.listing("a/")] == [(key, len(data)) for key, data in objects.items()]
    for key, data in objects.items():
        assert s3.exists(key)
        assert s3.size(key) == len(data)
        assert s3.read(key) == data
        assert s3.read_range(key, len(data) // 2, 1) == data[:1]
        assert s3.fetch(key).read_bytes() == data
    assert set(layer.spoilt) == set(faulty_s3.KINDS)
    assert 0.15 < layer.spoilt.total() / layer.requests.total() < 0.25


@pytest.mark.e2e
@pytest.mark.parametrize("kind", ["lost", "cut", "503"])
def test_a_large_file_goes_and_comes_in_pieces_under_faults(s3, spoil, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(s3_storage, "PIECE_BYTES", 5 << 20)
    data = random.Random(0).randbytes(12 << 20)
    (tmp_path / "large").write_bytes(data)
    layer = spoil(0.5, kind)
    s3.put_file("large", tmp_path / "large")
    assert s3.fetch("large").read_bytes() == data
    assert layer.spoilt.total() > 1


@pytest.mark.e2e
def test_a_lost_answer_to_the_end_of_an_upload_does_no_harm(s3, tmp_path, monkeypatch):
    monkeypatch.setattr(s3_storage, "PIECE_BYTES", 5 << 20)
    (tmp_path / "large").write_bytes(bytes(6 << 20))
    complete = s3.client.complete_multipart_upload

    def answer_lost(**query):
        monkeypatch.setattr(s3.client, "complete_multipart_upload", complete)
        complete(**query)
        raise s3_storage.HTTPClientError(error="connection reset")

    monkeypatch.setattr(s3.client, "complete_multipart_upload", answer_lost)
    s3.put_file("large", tmp_path / "large")
    assert s3.size("large") == 6 << 20


@pytest.mark.e2e
def test_a_large_file_that_cannot_go_leaves_nothing(s3, tmp_path, monkeypatch):
    monkeypatch.setattr(s3_storage, "PIECE_BYTES", 1 << 10)  # smaller than S3 takes
    (tmp_path / "large").write_bytes(bytes(5 << 10))
    with pytest.raises(StorageError, match="Cannot write"):
        s3.put_file("large", tmp_path / "large")
    assert list(s3.list()) == []
    assert not s3.client.list_multipart_uploads(Bucket=s3.bucket).get("Uploads")


@pytest.mark.e2e
def test_an_object_that_changes_while_it_is_copied_is_refused(s3, tmp_path, monkeypatch):
    monkeypatch.setattr(s3_storage, "PIECE_BYTES", 4)
    s3.put("x", b"old content")
    pieces = s3._pieces("x")
    assert next(pieces) == b"old "
    s3.put("x", b"new content")
    with pytest.raises(StorageError):
        next(pieces)


@pytest.mark.e2e
@pytest.mark.parametrize("kind", ["500", "reset", "cut"])
def test_a_service_that_stays_away_is_a_sentence_after_the_last_try(s3, spoil, kind):
    s3.put("x", b"0123")
    layer = spoil(1.0, kind)
    with pytest.raises(StorageError, match=f"{s3_storage.TRIES} tries failed"):
        s3.read("x")
    assert layer.requests.total() == s3_storage.TRIES


@pytest.mark.e2e
def test_what_will_not_pass_is_asked_for_once(s3, spoil):
    layer = spoil(0.0)
    with pytest.raises(StorageError, match="Was the home or the bucket changed"):
        s3.read("gone")
    assert layer.requests.total() == 1
