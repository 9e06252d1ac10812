import numpy as np
import pytest
import torch

from components.backends import manifest
from components.errors import TrainError
from components.train import kept
from components.train.data import HQ, NAMES, LiveFeatures
from components.train.kept import KINDS, Completed, Keeping, bytes_per_pair, parts
from components.train.pixels import PairPixels
from components.train.room import require_room, size_text
from components.train.settings import TrainSettings
from models.bundle import load_frozen


@pytest.fixture(scope="module")
def live(small_store, small_pairs, small_bundle):
    return LiveFeatures(PairPixels(small_store, manifest.rows(small_store, small_pairs)), load_frozen(small_bundle))


def keeping(live, needed, *, names=NAMES, batch=1):
    numbers = np.array(needed)
    return Keeping(live, names, parts(numbers, {32: numbers}), batch, lambda done, total: None)


def test_kept_features_equal_live_ones(live, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "CHUNK", 4)
    some = keeping(live, [0, 1, 3, 4, 7, 11])
    some.write(tmp_path)
    for source in (some.in_memory(), some.open(tmp_path)):
        for name, value in source.take([11, 3]).items():
            assert torch.equal(value, torch.cat([live.take([11])[name], live.take([3])[name]]))
        with pytest.raises(KeyError):
            source.take([2])


@pytest.mark.parametrize("kind", ["lrp", "latents"])
def test_what_is_not_kept_is_computed_and_all_agrees(live, kind):
    some = keeping(live, [2, 5], names=KINDS[kind]).in_memory()
    assert set(some.take([5])) == set(KINDS[kind])
    whole = Completed(some, live).take([5])
    assert list(whole) == list(NAMES)
    for name, value in live.take([5]).items():
        assert torch.equal(whole[name], value)


def test_every_kind_of_the_settings_is_known():
    assert set(KINDS) == set(TrainSettings.model_fields["cache"].annotation.__args__)


def test_settings_of_the_time_when_the_cache_was_a_place_are_read():
    for place in ("disk", "memory"):
        settings = TrainSettings.model_validate({"cache": place})
        assert (settings.cache, settings.cache_place) == ("all", place)
    assert TrainSettings(cache="lrp").cache_place == "disk"


def test_how_training_is_fed_does_not_belong_to_the_identity_of_a_run():
    fed = TrainSettings(cache="lrp", cache_place="memory", data_workers=3, prefetch=9)
    assert fed.identity() == TrainSettings().identity()


def test_processes_share_the_chunks_and_finished_ones_are_not_made_again(live, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "CHUNK", 2)
    some = keeping(live, range(6), batch=2)
    assert some.missing(tmp_path, (1, 2)) == [1]
    some.write(tmp_path, (1, 2))
    assert [path.name for path in tmp_path.iterdir()] == ["000001.safetensors"]
    before = (tmp_path / "000001.safetensors").stat().st_mtime_ns
    some.write(tmp_path, (0, 1))
    assert len(list(tmp_path.iterdir())) == 3
    assert (tmp_path / "000001.safetensors").stat().st_mtime_ns == before


def test_a_damaged_feature_file_is_a_sentence(live, tmp_path):
    one = keeping(live, [0])
    one.write(tmp_path)
    (tmp_path / "000000.safetensors").write_bytes(b"short")
    with pytest.raises(TrainError, match="Delete them"):
        one.open(tmp_path)


def test_the_cost_is_that_of_the_tensors(live):
    sizes = bytes_per_pair(live.frozen.config, 32)
    assert {name: value.nbytes for name, value in live.complete([0], {}, sizes).items()} == sizes
    del sizes[HQ]
    assert keeping(live, range(5)).bytes_of([0]) == 5 * sum(sizes.values())


def test_what_features_take_is_said_and_too_much_is_refused(live):
    some, said = keeping(live, range(5), names=KINDS["lrp"]), []
    needs = 5 * 3 * 32 * 32 * 2

    def emit(event, **values):
        said.append((event, values))

    require_room(some, [0], needs, where="disk", emit=emit)
    assert said[0][1]["text"] == "lrp_01 of 5 pairs take 30.7 kB of disk, 30.7 kB still to be made; 30.7 kB are free"
    assert said[1][1]["phase"] == "keeping 30.7 kB of features (disk)"
    require_room(some, [], 0, where="disk", emit=emit)
    with pytest.raises(TrainError, match=r"only 30\.7 kB are free.*train\.cache"):
        require_room(some, [0], needs - 1, where="disk", emit=emit)


def test_sizes_are_short():
    assert [size_text(count) for count in (7, 1500, 28_500_000_000_000)] == ["7 B", "1.5 kB", "28.5 TB"]


def test_parts_hold_one_side_each(monkeypatch):
    monkeypatch.setattr(kept, "CHUNK", 2)
    cut = parts(np.array([0, 1, 2, 5, 6]), {32: np.array([0, 2, 4, 6]), 64: np.array([1, 3, 5])})
    assert [(part.side_px, part.rows.tolist()) for part in cut] == [(32, [0, 2]), (32, [6]), (64, [1, 5])]
