import tarfile

from components.backends.shards import write_shard
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
