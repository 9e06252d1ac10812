from __future__ import annotations

import cv2
import numpy as np
import pytest

from components.backends import manifest
from components.backends.shards import write_shard
from components.backends.storage import LocalStorage
from components.backends.tables import Tables
from components.curate import registered
from components.errors import ManifestError, SettingsError
from components.imaging import prints
from components.records import Manifest


def stored(store: LocalStorage, seeds: range, verdict: str = "kept") -> Manifest:
    """An image manifest of PNGs."""
    pictures = [np.random.default_rng(seed).integers(0, 256, (64, 64), dtype=np.uint8) for seed in seeds]
    contents = [
        (f"{seed}.png", cv2.imencode(".png", luma_u8)[1].tobytes()) for seed, luma_u8 in zip(seeds, pictures, strict=True)
    ]
    rows = [
        {"id": f"{seed:02d}", "origin": f"s/{seed}", "verdict": verdict, **placed._asdict()}
        for seed, placed in zip(seeds, write_shard(store, contents), strict=True)
    ]
    return manifest.write(store, "images", rows)


def test_a_registered_benchmark_fills_the_table_with_the_prints_of_its_pictures(tmp_path):
    store = LocalStorage(tmp_path)
    record = registered.register(store, "tiny", stored(store, range(3)))
    assert record.count == 3
    assert registered.registered(store) == [record]
    with Tables(store) as tables:
        registered.fill(tables, store)
        rows = sorted(tables.tuples("select benchmark, benchmark_id, print from benchmarks"))
    expected = prints.fingerprint(np.random.default_rng(2).integers(0, 256, (64, 64), dtype=np.uint8))
    assert [row[:2] for row in rows] == [("tiny", "00"), ("tiny", "01"), ("tiny", "02")]
    assert rows[2][2] == expected


def test_registering_the_same_again_reads_no_picture(tmp_path):
    store = LocalStorage(tmp_path)
    images = stored(store, range(3))
    record = registered.register(store, "tiny", images)
    for key in list(store.list("shards/")):
        (store.folder / key).unlink()
    assert registered.register(store, "tiny", images) == record


def test_other_content_under_a_known_name_is_refused_unless_replaced(tmp_path):
    store = LocalStorage(tmp_path)
    registered.register(store, "tiny", stored(store, range(3)))
    other = stored(store, range(3, 5))
    with pytest.raises(SettingsError, match="stands for manifest"):
        registered.register(store, "tiny", other)
    assert registered.register(store, "tiny", other, replace=True).count == 2
    assert [record.images for record in registered.registered(store)] == [other]


def test_a_name_that_would_leave_the_folder_is_refused(tmp_path):
    store = LocalStorage(tmp_path)
    with pytest.raises(SettingsError, match="name of lower-case letters"):
        registered.register(store, "../tiny", stored(store, range(1)))


def test_a_manifest_without_a_kept_picture_is_refused(tmp_path):
    store = LocalStorage(tmp_path)
    with pytest.raises(ManifestError, match="has none"):
        registered.register(store, "tiny", stored(store, range(2), verdict="failed"))


def test_prints_of_another_version_are_not_compared(tmp_path, monkeypatch):
    store = LocalStorage(tmp_path)
    registered.register(store, "tiny", stored(store, range(2)))
    monkeypatch.setattr(prints, "OPERATOR", "prints-0")
    with Tables(store) as tables, pytest.raises(ManifestError, match="Register it again"):
        registered.fill(tables, store)


def test_without_benchmarks_the_table_is_empty(tmp_path):
    with Tables(LocalStorage(tmp_path)) as tables:
        registered.fill(tables, tables.store)
        assert tables.one("select count(*) as n from benchmarks") == {"n": 0}
