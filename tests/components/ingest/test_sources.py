import pickle

import pytest

from components.errors import SourceError, UnknownName
from components.imaging import codec
from components.ingest.packaged import PHOTOS, _starts
from components.ingest.settings import IngestSettings
from components.ingest.source import About
from components.ingest.sources import SOURCES, open_source

SETTINGS = IngestSettings()


def folder(path, max_bytes=9):
    return open_source(str(path), IngestSettings(max_bytes=max_bytes))


def read(source):
    return {got.entry.origin: got.data or got.reason for got in source.read(list(source.entries()))}


def test_a_folder_lists_everything_but_hidden_files_and_notes(tmp_path):
    for name in ("b.jpg", "sub/a.png", "sub/labels.csv", ".hidden.png", ".d/c.png", "noext"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [entry.origin for entry in folder(tmp_path).entries()] == ["b.jpg", "noext", "sub/a.png"]


def test_a_file_over_the_limit_fails_before_it_is_read(tmp_path):
    (tmp_path / "big.jpg").write_bytes(b"0123456789")
    (tmp_path / "edge.jpg").write_bytes(b"012345678")
    assert read(folder(tmp_path)) == {"big.jpg": "too_many_bytes", "edge.jpg": b"012345678"}


@pytest.mark.parametrize(("name", "message"), [("missing", "does not exist"), ("file.jpg", "is a file"), ("empty", "found none")])
def test_a_source_without_photos_says_what_it_found(tmp_path, name, message):
    (tmp_path / "file.jpg").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=message):
        list(folder(tmp_path / name).entries())


def test_an_unknown_kind_gets_a_suggestion():
    with pytest.raises(UnknownName, match="Did you mean 'folder'"):
        open_source("foldr:/x", SETTINGS)


@pytest.mark.parametrize(
    ("address", "about"),
    [
        ("folder:/data/lsdir?trusted=true&licence=CC BY-NC", About("lsdir", "CC BY-NC", trusted=True)),
        ("packaged:?name=first", About("first")),
        ("s3://bucket/some/photos/", About("photos")),
        ("s3://bucket", About("bucket")),
        ("tar:/data/shard-0.tar", About("shard-0")),
        ("tar:s3://bucket/lsdir?name=x", About("x")),
    ],
)
def test_an_address_says_name_licence_and_trust(address, about):
    assert open_source(address, SETTINGS).about == about


@pytest.mark.parametrize("address", ["folder:/x", "packaged:", "s3://bucket/x", "tar:/x"])
def test_every_source_reaches_a_worker(address):
    source = open_source(address, SETTINGS)
    assert address.partition(":")[0] in SOURCES
    assert pickle.loads(pickle.dumps(source)) == source


def test_a_link_to_nowhere_is_listed_and_fails(tmp_path):
    (tmp_path / "link.jpg").symlink_to(tmp_path / "gone")
    assert read(folder(tmp_path)) == {"link.jpg": "unreadable"}


@pytest.mark.parametrize(
    ("length", "starts"), [(256, [0]), (300, [22]), (383, [63]), (384, [0, 128]), (512, [0, 256]), (640, [0, 192, 384])]
)
def test_crops_cover_a_length_and_overlap_by_half_at_most(length, starts):
    assert _starts(length, 256) == starts


def test_packaged_crops_are_real_photos_that_remember_their_scene():
    source = open_source("packaged:", SETTINGS)
    entries = list(source.entries())
    assert {entry.scene for entry in entries} == {photo.scene for photo in PHOTOS.values()}
    (first,) = source.read(entries[:1])
    (again,) = source.read(entries[:1])
    picture = codec.decode(first.data)
    assert picture.image_u8.shape == (256, 256, 3)
    assert picture.image_u8.std() > 10
    assert first == again
