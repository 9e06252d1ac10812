import tarfile

import pytest

from components.backends.shards import read_spans, write_shard, write_shards
from components.backends.storage import LocalStorage

MEMBERS = [("a.png", b"x" * 700), ("b.jpg", b""), ("c.png", b"z")]


def test_every_member_is_found_by_offset_and_length(tmp_path):
    store = LocalStorage(tmp_path)
    placed = write_shard(store, MEMBERS)
    assert [store.read_range(*place) for place in placed] == [data for _, data in MEMBERS]


def test_the_shard_is_a_plain_tar(tmp_path):
    store = LocalStorage(tmp_path)
    place = write_shard(store, MEMBERS)[0]
    with tarfile.open(store.fetch(place.shard)) as tar:
        assert tar.getnames() == [name for name, _ in MEMBERS]


def test_webdataset_reads_the_shard(tmp_path):
    import webdataset

    store = LocalStorage(tmp_path)
    place = write_shard(store, MEMBERS)[0]
    samples = list(webdataset.WebDataset(str(store.fetch(place.shard)), shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == ["a", "b", "c"]
    assert samples[0]["png"] == MEMBERS[0][1]


def test_the_same_members_give_the_same_shard(tmp_path):
    first = write_shard(LocalStorage(tmp_path / "1"), MEMBERS)
    assert first == write_shard(LocalStorage(tmp_path / "2"), MEMBERS)


def test_nothing_makes_no_shard(tmp_path):
    assert write_shard(LocalStorage(tmp_path), []) == []
    assert list(LocalStorage(tmp_path).list()) == []


def test_pictures_are_cut_into_tars_by_their_size(tmp_path):
    store = LocalStorage(tmp_path)
    members = [(f"{number}.bin", bytes([number]) * size) for number, size in enumerate([4, 4, 4, 20, 1])]
    placed = write_shards(store, iter(members), most_bytes=8)
    shards = [place.shard for place in placed]
    assert [shards.count(shard) for shard in dict.fromkeys(shards)] == [2, 1, 1, 1]
    assert [store.read_range(*place) for place in placed] == [data for _, data in members]
    assert write_shards(store, iter([]), most_bytes=8) == []


@pytest.mark.parametrize("window", [1, 1000, 10_000])
def test_spans_of_a_shard_are_read_in_windows(tmp_path, window):
    store = LocalStorage(tmp_path)
    members = [(f"{number}.bin", bytes([number]) * (number + 1)) for number in range(9)]
    placed = write_shard(store, members)
    spans = [(place.offset, place.length) for place in placed[::2]]
    assert list(read_spans(store, placed[0].shard, spans, window=window)) == [data for _, data in members[::2]]
