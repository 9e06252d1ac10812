import subprocess
import sys

import pyarrow as pa
import pytest

from components.backends import manifest
from components.backends.storage import LocalStorage
from components.backends.tables import Tables
from components.errors import ManifestError, StorageError


@pytest.fixture
def store(tmp_path):
    return LocalStorage(tmp_path)


def image(name):
    return {"id": name * 64, "origin": f"o/{name}", "verdict": "kept", "reason": ""}


def test_a_query_is_written_as_the_same_bytes_as_a_list_of_rows(store):
    listed = manifest.write(store, "images", [image("a"), image("b")])
    with Tables(store) as tables:
        tables.table("given", "images", [image("b"), image("a")])
        assert tables.write("images", "select * from given") == listed
        assert tables.write("images", "select id, origin, verdict, reason from given") == listed


def test_the_bytes_of_a_manifest_do_not_depend_on_its_batches(store, monkeypatch):
    monkeypatch.setattr(manifest, "GROUP_ROWS", 3)
    rows = manifest.table("scores", [{"image_id": str(number), "value": 1.0} for number in range(8)])
    for size in (1, 2, 5, 8):
        written = manifest.write_batches(store, "scores", rows.to_batches(max_chunksize=size))
        assert written.rows == 8
    assert len(list(store.list("manifests/"))) == 1


def test_a_column_that_is_missing_is_null_in_every_group_of_rows(store, monkeypatch):
    monkeypatch.setattr(manifest, "GROUP_ROWS", 3)
    with Tables(store) as tables:
        sql = "select range::varchar as origin, 1::bigint as width_px from range(5000)"
        handle = tables.write("images", sql)
    rows = manifest.rows(store, handle)
    assert {(row["id"], row["width_px"]) for row in rows} == {(None, 1)}
    assert len(rows) == 5000


def test_a_column_that_the_kind_does_not_know_is_refused(store):
    with Tables(store) as tables, pytest.raises(ManifestError, match="colour"):
        tables.write("images", "select 'red' as colour")


@pytest.mark.parametrize("gather", ["parts", "view"])
def test_parts_are_one_table_also_where_there_is_none(store, gather):
    keys = [manifest.write_part(store, f"parts/{name}.parquet", "quality", [{"id": name, "value": 1.5}]) for name in "ab"]
    with Tables(store) as tables:
        getattr(tables, gather)("found", "quality", keys)
        getattr(tables, gather)("none", "quality", [])
        assert tables.rows("select * from found order by id") == [{"id": "a", "value": 1.5}, {"id": "b", "value": 1.5}]
        assert tables.rows("select * from none") == []
        assert tables.part("quality", "select * from found", "parts/all.parquet") == "parts/all.parquet"
    assert manifest.read_part(store, "parts/all.parquet")[1]["id"] == "b"


def test_a_missing_part_is_named(store):
    with Tables(store) as tables, pytest.raises(StorageError, match=r"gone\.parquet"):
        tables.parts("found", "quality", ["parts/gone.parquet"])


def test_a_changed_manifest_is_refused(store):
    handle = manifest.write(store, "images", [image("a")])
    store.put(handle.uri, b"PAR1")
    with Tables(store) as tables, pytest.raises(ManifestError, match="changed"):
        tables.manifest("rows", handle)


def test_rows_are_streamed_and_values_are_parameters(store):
    with Tables(store) as tables:
        stream = tables.stream("select range as i from range($n)", {"n": 20_000}, batch=1000)
        assert sum(row["i"] for row in stream) == sum(range(20_000))
        assert tables.one("select ? as it", ["'; drop table x"]) == {"it": "'; drop table x"}
        assert isinstance(next(tables.batches("select 1 as x")), pa.RecordBatch)


def test_a_closed_session_leaves_nothing_on_disk(store, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Tables(store) as tables:
        tables.run("create table t as select range as i from range(100000)")
        assert list(tmp_path.glob("lucidflux-tables-*"))
    assert not list(tmp_path.glob("lucidflux-tables-*"))


def test_tuples_are_the_rows_of_a_stream(store):
    with Tables(store) as tables:
        tables.table("given", "quality", [{"id": "a", "value": 1.0}, {"id": "b", "value": None}])
        assert list(tables.tuples("select * from given order by id", batch=1)) == [("a", 1.0), ("b", None)]


def test_what_a_killed_session_left_is_swept_away_and_a_living_one_is_not(store, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f"lucidflux-tables-{dead.pid}-x"
    left.mkdir()
    with Tables(store) as first, Tables(store):
        assert not left.exists()
        assert first.one("select 1 as x") == {"x": 1}
        assert len(list(tmp_path.glob("lucidflux-tables-*"))) == 2
