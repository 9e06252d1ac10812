import csv
import json

import boto3
import pytest

from components.backends import catalog, manifest
from components.backends.shards import write_shard
from components.backends.storage import LocalStorage
from components.errors import SourceError
from components.restore.inputs import Input, Place, list_inputs, read_input
from components.restore.plan import Names, make_plan
from tests.records import train_run


@pytest.fixture
def objects(tmp_path):
    return LocalStorage(tmp_path / "objects")


@pytest.fixture
def find(objects):
    def found(*addresses, output=""):
        return list(list_inputs([str(address) for address in addresses], Place(objects, output)))

    return found


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for name in ("a.jpg", "sub/b.png", ".hidden/c.png", ".d.png"):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_bytes(name.encode())
    return folder


def origins(inputs):
    return [item.origin for item in inputs]


def test_a_folder_gives_its_visible_files_mirrored(photos, find):
    assert origins(find(photos)) == ["a.jpg", "sub/b.png"]


def test_what_matches_nothing_is_named(tmp_path, find):
    with pytest.raises(SourceError, match="matches nothing"):
        find(tmp_path / "*.tif")
    with pytest.raises(SourceError, match="found none"):
        find(tmp_path)


def test_results_below_the_input_folder_are_no_inputs(photos, find):
    (photos / "out").mkdir()
    (photos / "out" / "a.jpg").write_bytes(b"restored")
    (photos / "restored-0123456789ab.jsonl").write_bytes(b"{}")
    assert origins(find(photos, output=str(photos / "out"))) == ["a.jpg", "sub/b.png"]


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".jsonl"])
def test_a_list_names_files_and_objects_and_those_that_are_not_there(photos, find, suffix):
    named = ["a.jpg", str(photos / "sub" / "b.png"), "gone.png", "s3://bucket/deep/c.png"]
    path = photos / f"list{suffix}"
    with path.open("w") as file:
        if suffix == ".txt":
            file.write("# mine\n" + "\n".join(named))
        elif suffix == ".csv":
            csv.writer(file).writerows([["id", "path"], *enumerate(named)])
        else:
            file.writelines(json.dumps({"uri": name}) + "\n" for name in named)
    assert origins(find(path)) == ["a.jpg", "sub/b.png", "gone.png", "deep/c.png"]


def test_a_list_of_web_pages_or_without_addresses_is_refused(tmp_path, find):
    (tmp_path / "list.txt").write_text("https://example.org/a.jpg\n")
    with pytest.raises(SourceError, match="lucidflux ingest"):
        find(tmp_path / "list.txt")
    (tmp_path / "list.csv").write_text("id,name\n1,a\n")
    with pytest.raises(SourceError, match="Expected a column"):
        find(tmp_path / "list.csv")


def test_a_manifest_gives_the_pictures_that_are_kept(objects, find):
    members = [("a.png", b"first"), ("b.png", b"second")]
    rows = [
        {"id": name, "shard": place.shard, "offset": place.offset, "length": place.length, "origin": name, "verdict": verdict}
        for (name, _), place, verdict in zip(members, write_shard(objects, members), ("kept", "rejected"), strict=True)
    ]
    images = manifest.write(objects, "images", rows)
    catalog.save(objects, train_run().pairs.curation.dataset.model_copy(update={"manifest": images}))
    (item,) = find(f"manifest:{images.sha256[:12]}")
    assert item.origin == "a.png"
    assert read_input(item, objects) == b"first"


def test_a_prefix_gives_its_objects_and_an_object_itself(s3, find):
    client = boto3.client("s3")
    for key in ("photos/a.jpg", "photos/sub/b.png", "photos/.hidden", "photos2/c.png"):
        client.put_object(Bucket=s3, Key=key, Body=b"x")
    assert origins(find(f"s3://{s3}/photos/")) == ["a.jpg", "sub/b.png"]
    assert origins(find(f"s3://{s3}/photos/sub/b.png")) == ["b.png"]
    with pytest.raises(SourceError, match="found none"):
        find(f"s3://{s3}/nothing")


def test_outputs_never_share_a_name(tmp_path):
    for kinds, expected in (
        (["png", "png", "jpeg", "png"], ["a.png", "a-2.png", "A.jpg", "a-2-2.png"]),
        (["png", "png", "png", "png"], ["a.png", "a-2.png", "A-3.png", "a-2-2.png"]),
    ):
        names = Names(tmp_path / f"{kinds[2]}.db")
        assert [names.give(*pair) for pair in zip(("a.tif", "a.png", "A.png", "a-2.gif"), kinds, strict=True)] == expected


def plan(inputs, objects, kind="png", head=None):
    return make_plan(inputs, objects, kind=kind, shard_pictures=2, head=head)


def test_a_picture_named_twice_is_planned_once_and_the_plan_depends_on_what_is_listed(photos, find, objects):
    once = plan(find(photos), objects)
    assert (once.pictures, [shard.items for shard in once.shards]) == (2, [2])
    assert plan(find(photos, photos / "*.jpg", photos / "a.jpg", photos), objects) == once
    (photos / "a.jpg").write_bytes(b"changed")
    assert plan(find(photos), objects).digest != once.digest


def test_kept_formats_are_told_by_content_and_what_cannot_be_read_is_planned_too(objects):
    heads = {"a.png": b"\xff\xd8\xff", "b.jpg": b"RIFF0000WEBP", "c.gif": b"GIF89a"}

    def head(item):
        if item.key not in heads:
            raise OSError(item.key)
        return heads[item.key]

    inputs = [Input("/r", name, name) for name in ("a.png", "b.jpg", "c.gif", "gone.jpg")]
    planned = plan(inputs, objects, "keep", head)
    named = [row["output"] for shard in planned.shards for row in manifest.read_part(objects, shard.plan)]
    assert named == ["a.jpg", "b.webp", "c.png", "gone.png"]
