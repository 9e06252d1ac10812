import shutil

import pytest
import torch

from components.backends import manifest
from components.backends.storage import open_storage
from components.errors import TrainError
from components.imaging.degrade import recipe
from components.train.job import Job
from components.train.order import Spread
from components.train.place import Place
from components.train.settings import TrainSettings
from components.train.source import drop_data, open_batches
from models.bundle import load_frozen

SETTINGS = TrainSettings(steps=6, micro_batch_size=2, accumulation=2, processes=1, engine="plain", precision="fp32")
HERE = Place(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def frozen(small_bundle):
    return load_frozen(small_bundle)


@pytest.fixture(scope="module")
def mixed(small_store, small_pairs):
    """The twelve pairs of 32 px, and five of 48 px."""
    rows = manifest.rows(small_store, small_pairs)
    larger = recipe.preset("moderate").model_copy(update={"crop_px": 48})
    rows += [{**row, "id": f"large-{row['id']}", "recipe": recipe.draw(0, row["id"], 9, larger).pack()} for row in rows[:5]]
    return manifest.write(small_store, "pairs", rows)


def job(store, pairs, folder, **changed):
    settings = SETTINGS.model_copy(update=changed)
    return Job(objects=store.root, pairs=pairs, settings=settings, base="", base_hashes={}, folder=str(folder))


def ignore(event, **values):
    pass


def every_batch(job, frozen, emit=ignore):
    batches = open_batches(job, frozen, HERE, done=0, emit=emit)
    spread = HERE.spread(job.settings)
    return [batches.make(samples) for step in range(job.settings.steps) for samples in spread.micro_batches(step)]


def values(batch):
    condition = batch.condition
    return (batch.x0_BTD, batch.noise_BTD, batch.t_B, condition.hint_lq_pm1, condition.hint_lrp_pm1, condition.features_BSE)


@pytest.fixture(scope="module")
def live(small_store, mixed, frozen, tmp_path_factory):
    return every_batch(job(small_store, mixed, tmp_path_factory.mktemp("live")), frozen)


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_are_the_same_bits_whatever_the_workers(small_store, mixed, frozen, live, tmp_path, workers):
    fed = every_batch(job(small_store, mixed, tmp_path, data_workers=workers), frozen)
    for one, other in zip(fed, live, strict=True):
        assert one.pairs == other.pairs
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(values(one), values(other), strict=True))


@pytest.mark.parametrize(
    "feeding",
    [
        {"cache": "lrp"},
        {"cache": "latents", "data_workers": 1},
        {"cache": "all", "data_workers": 1},
        {"cache": "all", "cache_place": "memory"},
        {"cache": "latents", "cache_place": "memory"},
    ],
    ids=str,
)
def test_batches_agree_whatever_is_kept(small_store, mixed, frozen, live, tmp_path, feeding):
    said = []
    kept = every_batch(job(small_store, mixed, tmp_path, **feeding), frozen, lambda event, **told: said.append((event, told)))
    for one, other in zip(kept, live, strict=True):
        assert one.pairs == other.pairs
        for mine, theirs in zip(values(one), values(other), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=2e-3)
    kinds = [told.get("phase", event) for event, told in said]
    assert kinds.index("note") < kinds.index("features")
    event, told = said[-1]
    assert (event, told["phase"], told["done"]) == ("phase", "features", told["total"])


def test_each_forward_pass_has_one_size_and_each_pair_comes_once_a_pass(live, small_store, mixed):
    sides = [batch.condition.height_px for batch in live]
    assert set(sides) == {32, 48}
    assert sides[::2] == sides[1::2]  # both passes of an update
    taken = [pair for batch, side in zip(live, sides, strict=True) if side == 32 for pair in batch.pairs]
    assert len(set(taken[:12])) == 12


def test_other_processes_take_the_rest_of_the_same_updates(small_store, mixed, frozen, live, tmp_path):
    two = open_batches(job(small_store, mixed, tmp_path), frozen, HERE, done=0, emit=ignore)
    for step in range(SETTINGS.steps):
        spread_over_two = [two.make(part).pairs for rank in (0, 1) for part in Spread(2, 1, 2, rank).micro_batches(step)]
        assert spread_over_two == [batch.pairs for batch in live[2 * step : 2 * step + 2]]


def test_a_full_disk_is_refused_before_anything_is_made(small_store, mixed, frozen, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(TrainError, match="only 10 B are free"):
        every_batch(job(small_store, mixed, tmp_path, cache="lrp"), frozen)
    assert not list(tmp_path.glob("features-*/*"))


def test_what_was_unpacked_and_kept_goes_at_the_end(small_store, mixed, frozen, tmp_path):
    done = job(small_store, mixed, tmp_path, cache="latents")
    every_batch(done, frozen)
    assert len(list(tmp_path.iterdir())) == 3  # rows, their lock, features
    drop_data(done)
    assert not list(tmp_path.iterdir())


def test_pairs_in_a_bucket_feed_workers(small_store, mixed, frozen, live, tmp_path, s3):
    store = open_storage(f"s3://{s3}/objects", cache=tmp_path / "cache")
    for key in ("shards/one.tar", mixed.uri):
        store.put(key, small_store.read(key))
    fed = every_batch(job(store, mixed, tmp_path, data_workers=1, steps=2), frozen)
    assert [batch.pairs for batch in fed] == [batch.pairs for batch in live[:4]]
    assert all(torch.equal(one.x0_BTD, other.x0_BTD) for one, other in zip(fed, live, strict=False))
