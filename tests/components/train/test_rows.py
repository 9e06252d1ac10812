import numpy as np
import pytest

from components.backends import manifest
from components.backends.storage import LocalStorage
from components.errors import ManifestError, StorageError, TrainError
from components.imaging.degrade import recipe
from components.records import canonical_json
from components.train.rows import COLUMNS, folder_of, open_rows, unpack


def made(store, crops, pack=True):
    """A manifest with one pair per crop."""
    rows = []
    for number, crop_px in enumerate(crops):
        drawn = recipe.draw(0, f"{number}", 0, recipe.preset("moderate").model_copy(update={"crop_px": crop_px}))
        rows.append(
            {
                "id": f"pair-{number}",
                "hq_id": f"{number:04d}",
                "epoch": 0,
                "recipe": drawn.pack() if pack else canonical_json(drawn),
            }
        )
    return manifest.write(store, "pairs", rows)


def opened(store, pairs, work, **asked):
    folder = folder_of(work, pairs)
    unpack(store, pairs, folder, **asked)
    return open_rows(folder)


def test_rows_are_those_of_the_manifest(small_store, small_pairs, tmp_path):
    pairs = opened(small_store, small_pairs, tmp_path)
    expected = [{name: row[name] for name in COLUMNS} for row in manifest.rows(small_store, small_pairs)]
    assert list(pairs.rows) == expected
    assert pairs.rows[3:5] == expected[3:5]
    assert list(pairs.ids) == [row["id"] for row in expected]
    assert pairs.ids[3:5] == [row["id"] for row in expected[3:5]]
    with pytest.raises(IndexError):
        pairs.rows[12]


def test_rows_beyond_one_batch_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr("components.backends.parquet.BATCH_ROWS", 3)
    store = LocalStorage(tmp_path / "store")
    pairs = opened(store, made(store, [32] * 8), tmp_path / "work")
    assert [pairs.ids[number] for number in range(8)] == [f"pair-{number}" for number in range(8)]


@pytest.mark.parametrize("pack", [True, False])
def test_rows_are_told_apart_by_the_side_of_their_crops(tmp_path, pack):
    store = LocalStorage(tmp_path / "store")
    pairs = opened(store, made(store, [64, 32, 64, 48, 64], pack), tmp_path / "work")
    assert {side: rows.tolist() for side, rows in pairs.by_side.items()} == {32: [1], 48: [3], 64: [0, 2, 4]}
    assert all(rows.dtype == np.int32 for rows in pairs.by_side.values())


def test_no_pairs_a_wrong_crop_and_whole_pictures_are_refused(tmp_path):
    store = LocalStorage(tmp_path / "store")
    with pytest.raises(TrainError, match="has none"):
        opened(store, made(store, []), tmp_path / "work")
    opened(store, made(store, [32]), tmp_path / "work", crop_px=32)
    with pytest.raises(TrainError, match="crops of 48 px, the recipes say 32 px"):
        opened(store, made(store, [32]), tmp_path / "work", crop_px=48)
    with pytest.raises(TrainError, match="say whole pictures, 32 px"):
        opened(store, made(store, [32, None]), tmp_path / "work")


def test_what_another_process_unpacked_is_taken_and_what_a_killed_one_left_goes(small_store, small_pairs, tmp_path):
    folder = folder_of(tmp_path, small_pairs)
    (tmp_path / f"{folder.name}.123.partial").mkdir()
    unpack(small_store, small_pairs, folder)
    before = (folder / "rows.arrow").stat().st_mtime_ns
    unpack(small_store, small_pairs, folder)
    assert (folder / "rows.arrow").stat().st_mtime_ns == before
    assert not list(tmp_path.glob("*.partial"))


def test_a_changed_manifest_and_cut_rows_are_sentences(small_pairs, small_store, tmp_path):
    store = LocalStorage(tmp_path / "store")
    store.put(small_pairs.uri, b"other")
    with pytest.raises(ManifestError, match="it was changed"):
        unpack(store, small_pairs, folder_of(tmp_path, small_pairs))
    folder = folder_of(tmp_path / "work", small_pairs)
    unpack(small_store, small_pairs, folder)
    (folder / "rows.arrow").write_bytes(b"short")
    with pytest.raises(StorageError, match="Delete them"):
        open_rows(folder)
