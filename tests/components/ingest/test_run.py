import multiprocessing
import os

import numpy as np
import pytest

from components.backends import manifest
from components.backends.storage import LocalStorage
from components.errors import DecodeError, SourceError
from components.imaging import codec
from components.ingest import run
from components.ingest.run import fingerprint, ingest
from components.ingest.settings import IngestSettings
from components.ingest.source import Entry

SETTINGS = IngestSettings(shard_bytes=2000)


def picture(seed, side=20):
    return codec.encode_png(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.png").write_bytes(picture(number))
    (folder / "again.png").write_bytes(picture(2))
    (folder / "broken.png").write_bytes(picture(9)[:300])
    (folder / "empty.jpg").write_bytes(b"")
    return folder


def rows_of(store, handle):
    return {row["origin"]: row for row in manifest.rows(store, handle)}


def test_every_file_gets_one_row_with_one_verdict(photos, tmp_path):
    store = LocalStorage(tmp_path / "objects")
    rows = rows_of(store, ingest([str(photos)], SETTINGS, objects=store.root))
    verdicts = {name.partition("/")[2]: (row["verdict"], row["reason"]) for name, row in rows.items()}
    assert verdicts == {
        "0.png": ("kept", ""),
        "1.png": ("kept", ""),
        "2.png": ("kept", ""),
        "3.png": ("kept", ""),
        "again.png": ("rejected", "duplicate_bytes"),
        "broken.png": ("failed", "truncated"),
        "empty.jpg": ("failed", "empty_file"),
    }


def test_stored_bytes_are_the_bytes_of_the_file(photos, tmp_path):
    store = LocalStorage(tmp_path / "objects")
    row = rows_of(store, ingest([str(photos)], SETTINGS, objects=store.root))["photos/0.png"]
    assert store.read_range(row["shard"], row["offset"], row["length"]) == picture(0)
    assert (row["width_px"], row["height_px"], row["format"], row["scene"]) == (20, 20, "png", "photos/0.png")


def test_workers_and_a_second_run_give_the_same_manifest(photos, tmp_path):
    store = LocalStorage(tmp_path / "objects")
    first = ingest([str(photos)], SETTINGS, objects=store.root)
    assert ingest([str(photos)], SETTINGS, objects=store.root) == first
    assert ingest([str(photos)], SETTINGS, objects=str(tmp_path / "elsewhere"), workers=2) == first


def test_the_fingerprint_changes_with_a_file_and_not_by_itself(photos):
    before = fingerprint([str(photos)], SETTINGS)
    assert fingerprint([str(photos)], SETTINGS) == before
    (photos / "new.png").write_bytes(picture(77))
    assert fingerprint([str(photos)], SETTINGS) != before


def test_a_folder_in_which_nothing_decodes_says_why(tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"not a picture")
    with pytest.raises(SourceError, match="not_an_image"):
        ingest([str(folder)], SETTINGS, objects=str(tmp_path / "objects"))


def test_two_sources_of_one_name_are_refused(photos, tmp_path):
    with pytest.raises(SourceError, match="different names"):
        ingest([str(photos), str(photos)], SETTINGS, objects=str(tmp_path))


class DeadlySource:
    """A source one of whose pictures kills the worker that reads it."""

    name = "deadly"

    def entries(self):
        return [Entry(name, name, 10, "1") for name in ("bomb", "good")]

    def read(self, origin):
        if origin == "bomb" and multiprocessing.parent_process() is not None:
            os._exit(9)
        return picture(1)

    def licence(self, origin):
        return "own"


def test_a_picture_that_kills_its_process_costs_only_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "open_source", lambda address, settings: DeadlySource())
    store = LocalStorage(tmp_path)
    rows = rows_of(store, ingest(["deadly:"], SETTINGS, objects=store.root, workers=2))
    assert rows["deadly/good"]["verdict"] == "kept"
    assert (rows["deadly/bomb"]["verdict"], rows["deadly/bomb"]["reason"]) == ("failed", "decoder_crashed")


def test_a_decode_error_survives_the_way_back_from_a_worker():
    import pickle

    error = pickle.loads(pickle.dumps(DecodeError("truncated", "at byte 7")))
    assert (error.reason, error.detail) == ("truncated", "at byte 7")
