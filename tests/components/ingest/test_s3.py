import pytest

from components.errors import SourceError
from components.ingest.settings import IngestSettings
from components.ingest.sources import open_source
from tests.components.ingest.test_tars import make_tar

pytestmark = pytest.mark.e2e

SETTINGS = IngestSettings()


@pytest.fixture
def bucket(s3):
    return s3


@pytest.fixture
def client(bucket):
    import boto3

    return boto3.client("s3")


def read(source):
    return {got.entry.origin: got.data or got.reason for got in source.read(list(source.entries()))}


def test_a_prefix_lists_everything_but_hidden_objects_and_notes(client, bucket):
    for key in ("p/b.jpg", "p/sub/a.png", "p/labels.csv", "p/.hidden.png", "p/.d/c.png", "p/sub/", "elsewhere/x.jpg", "pp/y.jpg"):
        client.put_object(Bucket=bucket, Key=key, Body=key.encode())
    source = open_source(f"s3://{bucket}/p?licence=CC0", SETTINGS)
    assert read(source) == {"b.jpg": b"p/b.jpg", "sub/a.png": b"p/sub/a.png"}
    assert (source.about.name, source.about.licence) == ("p", "CC0")


def test_more_objects_than_one_page_are_listed_once_each_in_order(client, bucket, monkeypatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    for number in range(10):
        client.put_object(Bucket=bucket, Key=f"{number}.jpg", Body=b"x")
    assert len(client.list_objects_v2(Bucket=bucket)["Contents"]) == 3
    origins = [entry.origin for entry in open_source(f"s3://{bucket}", SETTINGS).entries()]
    assert origins == [f"{number}.jpg" for number in range(10)]


def test_the_stamp_changes_with_the_content(client, bucket):
    source = open_source(f"s3://{bucket}", SETTINGS)
    client.put_object(Bucket=bucket, Key="a.jpg", Body=b"1")
    (before,) = source.entries()
    client.put_object(Bucket=bucket, Key="a.jpg", Body=b"2")
    (after,) = source.entries()
    assert before.stamp != after.stamp


def test_an_object_over_the_limit_or_gone_fails_alone(client, bucket):
    for key, size in (("big.jpg", 10), ("edge.jpg", 9), ("gone.jpg", 1)):
        client.put_object(Bucket=bucket, Key=key, Body=b"x" * size)
    source = open_source(f"s3://{bucket}", IngestSettings(max_bytes=9))
    entries = list(source.entries())
    client.delete_object(Bucket=bucket, Key="gone.jpg")
    assert [got.data or got.reason for got in source.read(entries)] == ["too_many_bytes", b"x" * 9, "unreadable"]


@pytest.mark.parametrize("address", ["s3://no-such-bucket-anywhere/p", "s3:/no-slash", "s3://"])
def test_a_bucket_that_is_not_there_says_so(s3, address):
    with pytest.raises(SourceError, match="bucket"):
        list(open_source(address, SETTINGS).entries())


def test_an_empty_prefix_says_so(bucket):
    with pytest.raises(SourceError, match="found none"):
        list(open_source(f"s3://{bucket}/nothing", SETTINGS).entries())


def test_a_bucket_that_goes_away_is_not_the_fault_of_the_pictures(client, bucket):
    client.put_object(Bucket=bucket, Key="a.jpg", Body=b"1")
    source = open_source(f"s3://{bucket}", SETTINGS)
    entries = list(source.entries())
    client.delete_object(Bucket=bucket, Key="a.jpg")
    client.delete_bucket(Bucket=bucket)
    with pytest.raises(SourceError, match="go on"):
        list(source.read(entries))


def test_tars_in_a_bucket_are_read_by_range(client, bucket, tmp_path):
    make_tar(tmp_path / "a.tar", ("1.jpg", b"one" * 99), ("1.json", b'{"licence": "CC0"}'), ("2.jpg", b"two" * 50_000))
    client.upload_file(str(tmp_path / "a.tar"), bucket, "set/a.tar")
    source = open_source(f"tar:s3://{bucket}/set", SETTINGS)
    assert read(source) == {"a.tar/1.jpg": b"one" * 99, "a.tar/2.jpg": b"two" * 50_000}
    assert next(source.entries()).licence == "CC0"
    assert list(read(open_source(f"tar:s3://{bucket}/set/a.tar", SETTINGS))) == ["a.tar/1.jpg", "a.tar/2.jpg"]
