import csv
import gzip
import io
import itertools
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import SourceError
from components.ingest.settings import IngestSettings, UrlSettings
from components.ingest.sources import open_source
from components.ingest.url_lists import Columns, rows

TABLE = [("http://a/1.jpg", "CC0"), ("", ""), ("http://a/3.jpg", "CC BY")]


def as_parquet():
    sink = io.BytesIO()
    pq.write_table(pa.table({"n": [1, 2, 3], "URL": [url for url, _ in TABLE], "license": [word for _, word in TABLE]}), sink)
    return sink.getvalue()


def as_csv(delimiter=","):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([("n", "URL", "license"), *((1, *row) for row in TABLE)])
    return text.getvalue().encode()


def as_jsonl():
    return b"".join(json.dumps({"n": 1, "URL": url, "license": word}).encode() + b"\n" for url, word in TABLE)


FORMS = {"l.parquet": as_parquet(), "l.csv": as_csv(), "l.tsv000": as_csv("\t"), "l.jsonl": as_jsonl()}


def table(place, columns=None):
    return [(row.url, row.licence) for row in rows(place, columns or Columns())]


def archive(path, lists, mode="w:gz"):
    with tarfile.open(path, mode) as tar:
        for name, data in lists:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_rows_plain_zipped_and_in_an_archive(tmp_path, name):
    (tmp_path / name).write_bytes(FORMS[name])
    (tmp_path / f"z-{name}.gz").write_bytes(gzip.compress(FORMS[name]))
    archive(tmp_path / "a.tar.gz", [(f"in/{name}", FORMS[name])])
    archive(tmp_path / "a.tar", [(f"in/{name}", FORMS[name])], "w")
    for place in (name, f"z-{name}.gz", "a.tar.gz", "a.tar"):
        assert table(tmp_path / place) == TABLE


def test_rows_are_named_by_list_and_number_and_scenes_follow(tmp_path):
    archive(
        tmp_path / "meta.tar.gz",
        [("b.csv", FORMS["l.csv"]), ("keywords.tsv", b"photo\tword\n1\tsea\n"), ("a.jsonl", FORMS["l.jsonl"])],
    )
    source = open_source(f"urls:{tmp_path / 'meta.tar.gz'}", IngestSettings())
    entries = list(source.entries())
    assert [entry.origin for entry in entries] == [
        f"meta.tar.gz/{name}#{number:09d}" for name in ("b.csv", "a.jsonl") for number in range(3)
    ]
    assert (entries[0].scene, entries[0].url, entries[0].licence) == ("meta/meta.tar.gz/b.csv#000000000", "http://a/1.jpg", "CC0")


def test_a_folder_gives_its_lists_in_order(tmp_path):
    for name in ("b/l.csv", "a.parquet", "note.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(FORMS.get(name, FORMS["l.csv"] if name.endswith("csv") else as_parquet()))
    assert [row.file for row in rows(tmp_path, Columns())] == ["a.parquet"] * 3 + ["b/l.csv"] * 3


def test_columns_are_named_by_settings(tmp_path):
    (tmp_path / "l.csv").write_bytes(b"url,thumb,rights\nhttp://a/1,http://t/1,mine\n")
    settings = IngestSettings(urls=UrlSettings(url_column="thumb", licence_column="rights"))
    (entry,) = open_source(f"urls:{tmp_path / 'l.csv'}", settings).entries()
    assert (entry.url, entry.licence) == ("http://t/1", "mine")


def test_the_picture_itself_comes_before_its_page(tmp_path):
    (tmp_path / "l.csv").write_bytes(b"url,photo_image_url\nhttp://page,http://picture\n")
    assert table(tmp_path / "l.csv") == [("http://picture", "")]


def test_broken_rows_stay_rows_and_blank_lines_are_none(tmp_path):
    (tmp_path / "l.jsonl").write_bytes(
        b'{"url": "u1"}\n\n{broken\n[1]\n{"url": 7}\n{"other": "x"}\n{"url": "u\xff6"}\n{"url": "u7"}'
    )
    assert [url for url, _ in table(tmp_path / "l.jsonl")] == ["u1", "", "", "", "", "", "u7"]
    (tmp_path / "l.csv").write_bytes(b"\xef\xbb\xbfurl,licence\nu1\n\nu2,CC0,more\n" + b"x" * 200_000 + b"\nu4,\xff\n")
    assert table(tmp_path / "l.csv") == [("u1", ""), ("u2", "CC0"), ("", ""), ("u4", "�")]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("gone.csv", None, "does not exist"),
        ("l.csv", b"page,title\n1,2\n", "page, title"),
        ("l.csv", b"", "no row|none"),
        ("l.parquet", b"PAR1 not", "l.parquet"),
        ("l.csv.gz", gzip.compress(FORMS["l.csv"] * 99)[:-9], "cut"),
        ("l.txt", b"http://a\n", "no row"),
    ],
)
def test_a_list_that_cannot_be_used_says_why(tmp_path, name, data, message):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError, match=message):
        table(tmp_path / name)


def test_a_cut_archive_and_one_with_two_lists_of_one_name_are_refused(tmp_path):
    archive(tmp_path / "twice.tar.gz", [("l.csv", FORMS["l.csv"])] * 2)
    with pytest.raises(SourceError, match="twice"):
        table(tmp_path / "twice.tar.gz")
    archive(tmp_path / "a.tar.gz", [("l.csv", FORMS["l.csv"] + bytes(range(256)) * 999)])
    (tmp_path / "a.tar.gz").write_bytes((tmp_path / "a.tar.gz").read_bytes()[:1000])
    with pytest.raises(SourceError, match="cut"):
        table(tmp_path / "a.tar.gz")


def test_a_missing_licence_column_that_was_asked_for_is_refused(tmp_path):
    (tmp_path / "l.csv").write_bytes(FORMS["l.csv"])
    with pytest.raises(SourceError, match="licence_column"):
        table(tmp_path / "l.csv", Columns(licence="rights"))


def test_a_list_is_read_row_by_row(tmp_path):
    with gzip.open(tmp_path / "l.csv.gz", "wb") as file:
        file.write(b"url\n")
        for number in range(30_000):
            file.write(b"http://a/%d.jpg\n" % number)
    with (tmp_path / "l.csv.gz").open("ab") as file:
        file.truncate(file.tell() - 100)
    assert len(list(itertools.islice(rows(tmp_path / "l.csv.gz", Columns()), 1000))) == 1000
