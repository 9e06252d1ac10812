import numpy as np
import pytest

from components.backends import manifest
from components.backends.storage import LocalStorage
from components.errors import SourceError
from components.imaging import codec
from components.restore.run import Batch, restore
from components.restore.settings import RestoreSettings


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    picture = np.random.default_rng(0).integers(0, 256, (17, 33, 3), dtype=np.uint8)
    (folder / "a.png").write_bytes(codec.encode_png(picture))
    (folder / "sub" / "b.jpg").write_bytes(codec.encode_jpeg(picture, 90))
    (folder / "bad.jpg").write_bytes(b"no picture")
    return folder


def batch_of(tmp_path, restorer, model, *, force=False, **settings):
    return Batch(
        model=model,
        settings=RestoreSettings(**settings),
        output=str(tmp_path / "out"),
        state=f"sqlite:///{tmp_path / 'state.db'}",
        objects=str(tmp_path / "objects"),
        force=force,
        restorer=restorer,
    )


@pytest.fixture
def go(photos, tmp_path, restorer, model):
    def run(folder=photos, **settings):
        return restore([str(folder)], batch_of(tmp_path, restorer, model, **settings))

    return run


def rows(made, tmp_path):
    return {row["origin"]: row for row in manifest.rows(LocalStorage(tmp_path / "objects"), made.manifest)}


def test_every_input_is_one_output_or_one_reason(photos, tmp_path, go):
    made = go()
    assert (made.restored, made.reused, made.failed) == (2, 0, 1)
    found = rows(made, tmp_path)
    assert found["bad.jpg"]["reason"] == "not_an_image"
    assert found["sub/b.jpg"]["output"] == "sub/b.jpg"
    assert codec.decode((tmp_path / "out" / "a.png").read_bytes()).image_u8.shape == (17, 33, 3)


def test_a_second_run_does_nothing_and_gives_the_same_manifest(photos, tmp_path, go):
    first = go()
    stamp = (tmp_path / "out" / "a.png").stat().st_mtime_ns
    again = go()
    assert (again.restored, again.reused) == (0, 2)
    assert again.manifest == first.manifest
    assert (tmp_path / "out" / "a.png").stat().st_mtime_ns == stamp


def test_a_second_run_decodes_no_picture(photos, tmp_path, go, monkeypatch):
    (photos / "bad.jpg").unlink()
    go()
    monkeypatch.setattr(codec, "source", None)
    assert go().reused == 2


def test_a_broken_picture_is_called_broken_although_its_name_is_taken(photos, tmp_path, go):
    whole = (photos / "a.png").read_bytes()
    (photos / "a.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"mine")
    assert rows(go(), tmp_path)["a.png"]["reason"] == "truncated"


def test_a_file_of_somebody_else_is_not_overwritten_without_force(photos, tmp_path, go):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"mine")
    made = go()
    assert rows(made, tmp_path)["a.png"]["reason"] == "output_exists"
    assert (tmp_path / "out" / "a.png").read_bytes() == b"mine"
    assert go(force=True).restored == 1
    assert (tmp_path / "out" / "a.png").read_bytes() != b"mine"


def test_a_result_that_was_deleted_is_made_again(photos, tmp_path, go):
    go()
    before = (tmp_path / "out" / "a.png").read_bytes()
    (tmp_path / "out" / "a.png").unlink()
    made = go()
    assert (made.restored, made.reused) == (1, 1)
    assert (tmp_path / "out" / "a.png").read_bytes() == before


def test_another_seed_is_another_result(photos, tmp_path, go):
    go()
    before = (tmp_path / "out" / "a.png").read_bytes()
    assert go(seed=1).restored == 2
    assert (tmp_path / "out" / "a.png").read_bytes() != before


def test_too_many_failures_fail_the_batch_and_keep_what_was_restored(photos, tmp_path, go):
    with pytest.raises(SourceError, match="1 of 3"):
        go(max_failed_share=0.1)
    assert (tmp_path / "out" / "a.png").exists()


def test_a_result_that_its_format_cannot_hold_is_a_reason_and_the_rest_goes_on(tmp_path, go):
    folder = tmp_path / "wide"
    folder.mkdir()
    (folder / "a.png").write_bytes(codec.encode_png(np.zeros((1, 16384, 3), np.uint8)))
    (folder / "b.png").write_bytes(codec.encode_png(np.zeros((8, 8, 3), np.uint8)))
    made = go(folder, format="webp")
    found = rows(made, tmp_path)
    assert (found["a.png"]["verdict"], found["a.png"]["reason"]) == ("failed", "not_encodable")
    assert found["b.png"]["verdict"] == "kept"
