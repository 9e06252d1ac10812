import pytest

from components.backends import manifest
from components.backends.storage import LocalStorage
from components.errors import ManifestError


def rows(*names):
    return [{"id": name, "origin": f"o/{name}", "verdict": "kept"} for name in names]


def test_the_order_of_the_rows_does_not_change_the_hash(tmp_path):
    store = LocalStorage(tmp_path)
    assert manifest.write(store, "images", rows("b", "a")) == manifest.write(store, "images", rows("a", "b"))


def test_rows_come_back_as_they_went_in(tmp_path):
    store = LocalStorage(tmp_path)
    handle = manifest.write(store, "images", rows("a"), parent="p", settings="s")
    assert handle.rows == 1
    assert manifest.rows(store, handle)[0]["origin"] == "o/a"


def test_a_changed_file_is_noticed(tmp_path):
    store = LocalStorage(tmp_path)
    handle = manifest.write(store, "images", rows("a"))
    store.put(handle.uri, store.read(handle.uri) + b"x")
    with pytest.raises(ManifestError, match="changed"):
        manifest.read(store, handle)


def test_a_missing_file_is_named(tmp_path):
    store = LocalStorage(tmp_path)
    handle = manifest.write(store, "images", rows("a"))
    with pytest.raises(ManifestError, match="missing"):
        manifest.read(LocalStorage(tmp_path / "elsewhere"), handle)


def test_an_unknown_column_is_refused(tmp_path):
    with pytest.raises(ManifestError, match="colour"):
        manifest.write(LocalStorage(tmp_path), "images", [{"id": "a", "colour": "red"}])


def test_a_value_of_another_type_is_refused(tmp_path):
    with pytest.raises(ManifestError, match="does not fit"):
        manifest.write(LocalStorage(tmp_path), "images", [{"id": "a", "bytes": "many"}])


def test_sql_counts_rows(tmp_path):
    store = LocalStorage(tmp_path)
    handle = manifest.write(store, "images", rows("a", "b"))
    assert manifest.query(store, handle, "select count(*) as n from rows where id <> 'a'") == [{"n": 1}]
