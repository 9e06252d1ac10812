import pytest

from components.backends.storage import LocalStorage, open_storage
from components.restore.results import Results


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path):
    return LocalStorage(tmp_path) if request.param == "folder" else open_storage(f"s3://{request.getfixturevalue('s3')}/out")


def test_a_new_object_takes_no_place_that_is_taken(store):
    assert store.put_new("a/b.png", b"first")
    assert not store.put_new("a/b.png", b"second")
    assert store.put_new("a/b.png", b"first")  # the answer to an earlier try may have got lost
    assert store.read("a/b.png") == b"first"
    assert list(store.list()) == ["a/b.png"]


def test_an_answer_that_breaks_off_is_still_known_to_mean_that_the_place_is_taken(s3, s3_server, monkeypatch):
    store = open_storage(f"s3://{s3}/out")
    assert store.put_new("a.png", b"first")
    layer = s3_server[1]
    monkeypatch.setattr(layer, "_kind", lambda environ: "cut" if environ["REQUEST_METHOD"] == "PUT" else "")
    assert not store.put_new("a.png", b"second")
    assert store.put_new("a.png", b"first")


def test_a_result_is_found_by_its_key_and_its_bytes(store):
    results = Results(store)
    assert results.keep("a.png", "k1", b"restored", {"width_px": 3}, results.look("a.png", "k1"))
    assert results.look("a.png", "k1").found == {"width_px": 3}
    assert results.look("a.png", "k2").found is None
    store.put("a.png", b"changed by hand")
    assert results.look("a.png", "k1").found is None
    assert results.look("a.png", "k1").taken


def test_a_result_of_ours_is_replaced_even_when_a_kill_left_the_note_of_the_next(store):
    results = Results(store)
    results.keep("a.png", "k1", b"first", {}, results.look("a.png", "k1"))
    standing = results.look("a.png", "k2")
    Results(_WithoutResults(store)).keep("a.png", "k2", b"second", {}, standing)
    again = results.look("a.png", "k2")
    assert (again.found, again.taken) == (None, False)
    assert results.keep("a.png", "k2", b"second", {}, again)
    assert store.read("a.png") == b"second"


class _WithoutResults:
    """A store whose writer is killed after the note."""

    def __init__(self, store):
        self.store = store

    def put(self, key, data):
        return self.store.put(key, data) if key.endswith(".json") else key


def test_what_takes_the_place_while_a_result_is_made_stays(store):
    results = Results(store)
    standing = results.look("a.png", "k1")
    store.put("a.png", b"mine")
    assert not results.keep("a.png", "k1", b"restored", {}, standing)
    assert store.read("a.png") == b"mine"
    assert results.look("a.png", "k1").taken


def test_force_takes_every_place(store):
    store.put("a.png", b"mine")
    results = Results(store, force=True)
    standing = results.look("a.png", "k1")
    assert not standing.taken
    assert results.keep("a.png", "k1", b"restored", {}, standing)
    assert store.read("a.png") == b"restored"
