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
from components.ingest.source import About, Entry, Fetched
from components.ingest.sources import open_source

pytestmark = pytest.mark.e2e

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
    before, count = fingerprint([str(photos)], SETTINGS)
    assert count == 7
    assert fingerprint([str(photos)], SETTINGS) == (before, count)
    (photos / "new.png").write_bytes(picture(77))
    assert fingerprint([str(photos)], SETTINGS) != (before, count)


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
    """A source some of whose pictures kill the worker that reads them."""

    about = About("deadly")

    def __init__(self, *deadly):
        self.deadly = deadly

    def entries(self):
        for number in range(6):
            yield Entry(f"{number:02d}", f"scene{number}", 10, "1")

    def read(self, entries):
        for entry in entries:
            if int(entry.origin) in self.deadly and multiprocessing.parent_process() is not None:
                os._exit(9)
            yield Fetched(entry, picture(int(entry.origin)))


def test_pictures_that_kill_their_process_cost_only_their_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "open_source", lambda address, settings: DeadlySource(1, 4))
    store = LocalStorage(tmp_path)
    rows = rows_of(store, ingest(["deadly:"], IngestSettings(), objects=store.root, workers=2))
    failed = {name: row["reason"] for name, row in rows.items() if row["verdict"] != "kept"}
    assert failed == {"deadly/01": "decoder_crashed", "deadly/04": "decoder_crashed"}
    assert len(rows) == 6


class Counting:
    """A folder source that tells which entries it read, through a file that workers share."""

    def __init__(self, source, told):
        self.source, self.told, self.about = source, told, source.about

    def entries(self):
        return self.source.entries()

    def read(self, entries):
        with self.told.open("a") as file:
            file.writelines(f"{entry.origin}\n" for entry in entries)
        return self.source.read(entries)


def test_what_a_killed_run_had_finished_is_not_read_again(photos, tmp_path, monkeypatch):
    told = tmp_path / "told"
    monkeypatch.setattr(run, "open_source", lambda address, settings: Counting(open_source(address, settings), told))
    settings = IngestSettings(shard_pictures=2)
    store = LocalStorage(tmp_path / "objects")
    first = ingest([str(photos)], settings, objects=store.root)
    assert len(told.read_text().split()) == 7
    done = sorted(store.list("parts/"))
    (store.folder / done[0]).unlink()
    told.unlink()
    assert ingest([str(photos)], settings, objects=store.root) == first
    assert 1 <= len(told.read_text().split()) <= 2


def test_licence_trust_and_name_of_a_source_go_into_its_rows(photos, tmp_path):
    store = LocalStorage(tmp_path / "objects")
    rows = rows_of(store, ingest([f"{photos}?name=lsdir&licence=CC BY&trusted=true"], SETTINGS, objects=store.root))
    row = rows["lsdir/0.png"]
    assert (row["source"], row["licence"], row["trusted"], row["frames"]) == ("lsdir", "CC BY", True, 1)


def test_a_repeated_picture_names_the_one_that_stands_for_it(photos, tmp_path):
    store = LocalStorage(tmp_path / "objects")
    rows = rows_of(store, ingest([str(photos)], SETTINGS, objects=store.root))
    assert rows["photos/again.png"]["related"] == "photos/2.png"


def test_a_decode_error_survives_the_way_back_from_a_worker():
    import pickle

    error = pickle.loads(pickle.dumps(DecodeError("truncated", "at byte 7")))
    assert (error.reason, error.detail) == ("truncated", "at byte 7")
