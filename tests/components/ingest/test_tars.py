import io
import tarfile

import pytest

from components.errors import SourceError
from components.ingest.settings import IngestSettings
from components.ingest.sources import open_source

SETTINGS = IngestSettings()


def make_tar(path, *named, **links):
    with tarfile.open(path, "w") as tar:
        for name, data in named:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
        for name, target in links.items():
            header = tarfile.TarInfo(f"{name}.jpg")
            header.type, header.linkname = tarfile.SYMTYPE, target
            tar.addfile(header)


def fetched(source):
    return {got.entry.origin: got.data or got.reason for got in source.read(list(source.entries()))}


def test_pictures_are_found_by_their_headers_and_side_files_get_no_row(tmp_path):
    make_tar(tmp_path / "a.tar", ("x/1.jpg", b"one"), ("x/1.cls", b"7"), ("x/1.txt", b"t"), ("2.png", b"two"))
    source = open_source(f"tar:{tmp_path / 'a.tar'}?licence=CC0", SETTINGS)
    assert source.about.name == "a"
    assert fetched(source) == {"a.tar/x/1.jpg": b"one", "a.tar/2.png": b"two"}


def test_members_of_one_key_share_their_scene(tmp_path):
    make_tar(tmp_path / "a.tar", ("d.1/7.hq.png", b"1"), ("d.1/7.lq.png", b"2"), ("d.1/8.png", b"3"))
    scenes = [entry.scene for entry in open_source(f"tar:{tmp_path / 'a.tar'}", SETTINGS).entries()]
    assert scenes == ["a/a.tar/d.1/7", "a/a.tar/d.1/7", "a/a.tar/d.1/8"]


@pytest.mark.parametrize("note_first", [True, False])
def test_a_note_beside_a_picture_gives_licence_and_address(tmp_path, note_first):
    sample = [("1.json", b'{"license": "CC BY", "url": "http://x/1"}'), ("1.jpg", b"one")]
    make_tar(tmp_path / "a.tar", *(sample if note_first else sample[::-1]), ("2.jpg", b"two"), ("2.json", b"{broken"))
    first, second = open_source(f"tar:{tmp_path / 'a.tar'}", SETTINGS).entries()
    assert (first.licence, first.url) == ("CC BY", "http://x/1")
    assert (second.licence, second.url) == ("", "")


def test_a_folder_gives_its_tars_in_order_and_a_pattern_some_of_them(tmp_path):
    for name in ("b/2.tar", "a.tar", "b/1.tar", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        make_tar(tmp_path / name, ("1.jpg", name.encode()))
    assert list(fetched(open_source(f"tar:{tmp_path}", SETTINGS))) == ["a.tar/1.jpg", "b/1.tar/1.jpg", "b/2.tar/1.jpg"]
    assert list(fetched(open_source(f"tar:{tmp_path}/b/[2-9].tar", SETTINGS))) == ["2.tar/1.jpg"]


@pytest.mark.parametrize(
    "names", [("../up.jpg", "/etc/x.jpg"), ("1.jpg", "1.jpg"), ("1\n.jpg", "1\r.jpg"), ("\udcff.jpg", "\udcfe.jpg")]
)
def test_a_name_is_only_a_name_and_two_members_have_two_origins(tmp_path, names):
    make_tar(tmp_path / "a.tar", *((name, b"%d" % number) for number, name in enumerate(names)))
    got = fetched(open_source(f"tar:{tmp_path / 'a.tar'}", SETTINGS))
    assert list(got.values()) == [b"0", b"1"]
    assert all(origin.isprintable() for origin in got)


def test_a_link_is_listed_and_not_followed(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    make_tar(tmp_path / "a.tar", ("1.jpg", b"one"), link=str(tmp_path / "secret.jpg"))
    assert fetched(open_source(f"tar:{tmp_path / 'a.tar'}", SETTINGS))["a.tar/link.jpg"] == "not_a_file"


@pytest.mark.parametrize(
    ("keep", "listed"),
    [
        (0, {"a.tar/@0": "truncated_tar"}),
        (100, {"a.tar/@0": "truncated_tar"}),
        (512 + 99, {"a.tar/1.jpg": "truncated_tar"}),
        (1024, {"a.tar/1.jpg": b"1" * 100, "a.tar/@1024": "truncated_tar"}),
        (1024 + 512 + 99, {"a.tar/1.jpg": b"1" * 100, "a.tar/2.jpg": "truncated_tar"}),
        (2048, {"a.tar/1.jpg": b"1" * 100, "a.tar/2.jpg": b"2" * 100, "a.tar/@2048": "truncated_tar"}),
        (2560, {"a.tar/1.jpg": b"1" * 100, "a.tar/2.jpg": b"2" * 100}),
    ],
)
def test_a_cut_tar_lists_what_is_whole_and_one_failure(tmp_path, keep, listed):
    make_tar(tmp_path / "whole.tar", ("1.jpg", b"1" * 100), ("2.jpg", b"2" * 100))
    (tmp_path / "a.tar").write_bytes((tmp_path / "whole.tar").read_bytes()[:keep])
    assert fetched(open_source(f"tar:{tmp_path / 'a.tar'}", SETTINGS)) == listed


def test_a_header_that_claims_a_negative_or_huge_size_ends_the_tar(tmp_path):
    make_tar(tmp_path / "a.tar", ("1.jpg", b"1"))
    whole = bytearray((tmp_path / "a.tar").read_bytes())
    for size in (b"\xff" * 12, b"\x80" + b"\x00" * 3 + b"\xff" * 8):
        for kind in (b"0", b"L", b"x"):
            forged = bytearray(whole[:512])
            forged[124:136], forged[156:157] = size, kind
            forged[148:156] = b" " * 8
            forged[148:156] = b"%06o\0 " % sum(forged)
            (tmp_path / "a.tar").write_bytes(whole[:1024] + forged + b"\0" * 1024)
            assert list(fetched(open_source(f"tar:{tmp_path / 'a.tar'}", SETTINGS)).values()) == [b"1", "truncated_tar"]


def test_a_picture_over_the_limit_is_not_read(tmp_path):
    make_tar(tmp_path / "a.tar", ("1.jpg", b"0123456789"))
    assert fetched(open_source(f"tar:{tmp_path / 'a.tar'}", IngestSettings(max_bytes=9))) == {"a.tar/1.jpg": "too_many_bytes"}


@pytest.mark.parametrize(("name", "message"), [("gone", "found none"), ("x.tar.gz", "uncompressed"), ("empty", "found none")])
def test_a_place_without_tars_says_what_it_found(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=message):
        list(open_source(f"tar:{tmp_path / name}", SETTINGS).entries())
