import numpy as np
import pytest

from components.backends import manifest
from components.backends.storage import LocalStorage
from components.errors import SourceError
from components.imaging import codec
from components.imaging.restorer import Restorer
from components.imaging.sampler import SamplerSettings
from components.restore.inputs import find_inputs
from components.restore.run import Batch, restore
from components.restore.settings import RestoreSettings
from flows.settings import load

SAMPLER = SamplerSettings(steps=1, start=0.2, shift="none", tile_px=64, overlap_px=0)


@pytest.fixture(scope="module")
def restorer():
    return Restorer(load("tiny").base_folder, None, SAMPLER)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    picture = np.random.default_rng(0).integers(0, 256, (17, 33, 3), dtype=np.uint8)
    (folder / "a.png").write_bytes(codec.encode_png(picture))
    (folder / "sub" / "b.jpg").write_bytes(codec.encode_jpeg(picture, 90))
    (folder / "bad.jpg").write_bytes(b"no picture")
    return folder


def go(photos, tmp_path, restorer, *, force=False, **settings):
    batch = Batch(restorer, "m/1", RestoreSettings(**settings), tmp_path / "out", force)
    return restore(find_inputs([str(photos)]), batch, objects=LocalStorage(tmp_path / "objects"))


def rows(made, tmp_path):
    return {row["origin"]: row for row in manifest.rows(LocalStorage(tmp_path / "objects"), made.manifest)}


def test_every_input_is_one_output_or_one_reason(photos, tmp_path, restorer):
    made = go(photos, tmp_path, restorer)
    assert (made.restored, made.reused, made.failed) == (2, 0, 1)
    found = rows(made, tmp_path)
    assert found["bad.jpg"]["reason"] == "not_an_image"
    assert found["sub/b.jpg"]["output"] == "sub/b.jpg"
    assert codec.decode((tmp_path / "out" / "a.png").read_bytes()).image_u8.shape == (17, 33, 3)


def test_a_second_run_does_nothing_and_gives_the_same_manifest(photos, tmp_path, restorer):
    first = go(photos, tmp_path, restorer)
    stamp = (tmp_path / "out" / "a.png").stat().st_mtime_ns
    again = go(photos, tmp_path, restorer)
    assert (again.restored, again.reused) == (0, 2)
    assert again.manifest == first.manifest
    assert (tmp_path / "out" / "a.png").stat().st_mtime_ns == stamp


def test_a_second_run_decodes_no_picture(photos, tmp_path, restorer, monkeypatch):
    (photos / "bad.jpg").unlink()
    go(photos, tmp_path, restorer)
    monkeypatch.setattr(codec, "source", None)
    assert go(photos, tmp_path, restorer).reused == 2


def test_a_broken_picture_is_called_broken_although_its_name_is_taken(photos, tmp_path, restorer):
    whole = (photos / "a.png").read_bytes()
    (photos / "a.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"mine")
    assert rows(go(photos, tmp_path, restorer), tmp_path)["a.png"]["reason"] == "truncated"


def test_a_file_of_somebody_else_is_not_overwritten_without_force(photos, tmp_path, restorer):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"mine")
    made = go(photos, tmp_path, restorer)
    assert rows(made, tmp_path)["a.png"]["reason"] == "output_exists"
    assert (tmp_path / "out" / "a.png").read_bytes() == b"mine"
    assert go(photos, tmp_path, restorer, force=True).restored == 1
    assert (tmp_path / "out" / "a.png").read_bytes() != b"mine"


def test_a_result_that_was_deleted_is_made_again(photos, tmp_path, restorer):
    go(photos, tmp_path, restorer)
    before = (tmp_path / "out" / "a.png").read_bytes()
    (tmp_path / "out" / "a.png").unlink()
    made = go(photos, tmp_path, restorer)
    assert (made.restored, made.reused) == (1, 1)
    assert (tmp_path / "out" / "a.png").read_bytes() == before


def test_another_seed_is_another_result(photos, tmp_path, restorer):
    go(photos, tmp_path, restorer)
    before = (tmp_path / "out" / "a.png").read_bytes()
    assert go(photos, tmp_path, restorer, seed=1).restored == 2
    assert (tmp_path / "out" / "a.png").read_bytes() != before


def test_too_many_failures_fail_the_batch_and_keep_what_was_restored(photos, tmp_path, restorer):
    with pytest.raises(SourceError, match="1 of 3"):
        go(photos, tmp_path, restorer, max_failed_share=0.1)
    assert (tmp_path / "out" / "a.png").exists()


def test_a_result_that_its_format_cannot_hold_is_a_reason_and_the_rest_goes_on(tmp_path, restorer):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(codec.encode_png(np.zeros((1, 16384, 3), np.uint8)))
    (folder / "b.png").write_bytes(codec.encode_png(np.zeros((8, 8, 3), np.uint8)))
    made = go(folder, tmp_path, restorer, format="webp")
    found = rows(made, tmp_path)
    assert (found["a.png"]["verdict"], found["a.png"]["reason"]) == ("failed", "not_encodable")
    assert found["b.png"]["verdict"] == "kept"
