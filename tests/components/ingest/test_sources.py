import pytest

from components.errors import DecodeError, SourceError, UnknownName
from components.imaging import codec
from components.ingest.folder import FolderSource
from components.ingest.packaged import PHOTOS, PackagedSource, _starts
from components.ingest.settings import IngestSettings
from components.ingest.sources import open_source

SETTINGS = IngestSettings()


def test_a_folder_lists_everything_but_hidden_files_and_notes(tmp_path):
    for name in ("b.jpg", "sub/a.png", "sub/labels.csv", ".hidden.png", ".d/c.png", "noext"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [entry.origin for entry in FolderSource(tmp_path, max_bytes=9).entries()] == ["b.jpg", "noext", "sub/a.png"]


def test_a_file_over_the_limit_fails_before_it_is_read(tmp_path):
    (tmp_path / "big.jpg").write_bytes(b"0123456789")
    with pytest.raises(DecodeError) as caught:
        FolderSource(tmp_path, max_bytes=9).read("big.jpg")
    assert caught.value.reason == "too_many_bytes"


@pytest.mark.parametrize(("name", "message"), [("missing", "does not exist"), ("file.jpg", "is a file"), ("empty", "found none")])
def test_a_source_without_photos_says_what_it_found(tmp_path, name, message):
    (tmp_path / "file.jpg").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=message):
        open_source(str(tmp_path / name), SETTINGS).entries()


def test_an_unknown_kind_gets_a_suggestion():
    with pytest.raises(UnknownName, match="Did you mean 'folder'"):
        open_source("foldr:/x", SETTINGS)


def test_a_link_to_nowhere_is_listed_and_fails(tmp_path):
    (tmp_path / "link.jpg").symlink_to(tmp_path / "gone")
    source = FolderSource(tmp_path, max_bytes=9)
    assert [entry.origin for entry in source.entries()] == ["link.jpg"]
    with pytest.raises(DecodeError, match="unreadable"):
        source.read("link.jpg")


@pytest.mark.parametrize(
    ("length", "starts"), [(256, [0]), (300, [22]), (383, [63]), (384, [0, 128]), (512, [0, 256]), (640, [0, 192, 384])]
)
def test_crops_cover_a_length_and_overlap_by_half_at_most(length, starts):
    assert _starts(length, 256) == starts


def test_packaged_crops_are_real_photos_that_remember_their_scene():
    source = PackagedSource(crop_px=256)
    entries = source.entries()
    assert {entry.scene for entry in entries} == {photo.scene for photo in PHOTOS.values()}
    picture = codec.decode(source.read(entries[0].origin))
    assert picture.image_u8.shape == (256, 256, 3)
    assert picture.image_u8.std() > 10
    assert source.read(entries[0].origin) == source.read(entries[0].origin)
