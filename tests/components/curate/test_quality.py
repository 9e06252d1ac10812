"""Quality of what passed: every picture once, each shard at once, unreadable pictures as nulls."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

from components.backends import manifest, shards
from components.backends.storage import LocalStorage
from components.backends.tables import Tables
from components.curate import quality
from components.errors import SettingsError, WeightsError
from components.imaging import codec, iqa


def photo(seed, side_px=64):
    rows, columns = np.mgrid[:side_px, :side_px]
    grey = 128 + 60 * np.sin(rows / (3 + seed)) * np.cos(columns / 7) + np.random.default_rng(seed).normal(0, 8, rows.shape)
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def store(tmp_path):
    return LocalStorage(tmp_path / "objects")


@pytest.fixture
def passed(store):
    """Rows of two shards; the second holds a picture that is cut."""
    contents = {"a": photo(1), "b": photo(2), "c": photo(3), "cut": photo(4)[:300], "tiny": photo(5, 12)}
    rows = []
    for names in (("a", "b"), ("c", "cut", "tiny")):
        placed = shards.write_shard(store, [(f"{name}.png", contents[name]) for name in names])
        rows += [{"id": name, **place._asdict()} for name, place in zip(names, placed, strict=True)]
    return rows


def scored(store, rows, metric="piqe", **options):
    """Id -> value, and the shards that were measured."""
    measured = []
    with Tables(store) as tables:
        tables.table("given", "images", rows)
        tables.run('create table passed as select id, shard, "offset", length from given')
        quality.score_quality(tables, store, metric, **{"progress": lambda *told: measured.append(told)} | options)
        return {row["id"]: row["value"] for row in tables.rows("select id, value from quality")}, measured


def parts(store):
    return list(store.list("scores/"))


def test_each_picture_gets_the_metrics_value_or_null(store, passed):
    values, measured = scored(store, passed)
    assert set(values) == {"a", "b", "c", "cut", "tiny"}
    whole = [codec.decode(photo(seed)).image_u8 for seed in (1, 2, 3)]
    assert [values[name] for name in "abc"] == iqa.score("piqe", whole)
    assert (values["cut"], values["tiny"]) == (None, None)
    assert measured == [("quality", 1, 2), ("quality", 2, 2)]


def test_an_unreadable_picture_is_named_with_its_reason(store, passed, caplog):
    scored(store, passed)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["No quality for cut"]


def test_known_scores_are_not_computed_again(store, passed):
    first, _ = scored(store, passed)
    before = {key: store.size(key) for key in parts(store)}
    again, measured = scored(store, passed)
    assert again == first
    assert measured == []
    assert {key: store.size(key) for key in parts(store)} == before


def test_only_new_pictures_are_scored_and_only_passed_ones_given(store, passed):
    scored(store, passed[:3])
    values, measured = scored(store, passed[1:])
    assert set(values) == {row["id"] for row in passed[1:]}
    assert measured == [("quality", 1, 1)]
    assert [[row["id"] for row in manifest.read_part(store, key)] for key in parts(store)].count(["cut", "tiny"]) == 1


def test_a_run_that_is_cut_loses_the_shard_it_was_at(store, passed, tmp_path):
    whole, _ = scored(store, passed)
    elsewhere = LocalStorage(tmp_path / "elsewhere")
    for key in store.list("shards/"):
        elsewhere.put(key, store.read(key))

    def cut(*_told):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scored(elsewhere, passed, progress=cut)
    assert len(parts(elsewhere)) == 1
    values, measured = scored(elsewhere, passed)
    assert len(measured) == 1
    assert values == whole
    assert {key: elsewhere.read(key) for key in parts(elsewhere)} == {key: store.read(key) for key in parts(store)}


def test_another_metric_has_its_own_scores(store, passed):
    piqe, _ = scored(store, passed)
    entropy, measured = scored(store, passed, "entropy")
    assert len(measured) == 2
    assert entropy["a"] != piqe["a"]


def test_another_device_or_library_measures_anew(store, passed, monkeypatch):
    scored(store, passed)
    monkeypatch.setattr(iqa.identity, "versions", lambda: {"pyiqa": "9.9", "torch": "9.9", "device": "cpu"})
    _, measured = scored(store, passed)
    assert len(measured) == 2


def test_a_machine_that_scores_otherwise_refuses_the_job(store, passed):
    spans = tuple((row["id"], row["offset"], row["length"]) for row in passed[:2])
    job = quality.QualityJob(store.root, passed[0]["shard"], spans, "piqe", "piqe-cuda-pyiqa0-0123", None)
    with pytest.raises(SettingsError, match="this machine gives piqe-cpu"):
        quality.score_shard(job)


def test_missing_weights_stop_before_anything_is_read(store, passed, tmp_path):
    with pytest.raises(WeightsError, match=r"RN50\.pt"):
        scored(store, passed, "clipiqa", weights_folder=tmp_path)
    assert parts(store) == []


def test_nothing_passed_is_an_empty_table(store):
    assert scored(store, []) == ({}, [])


@pytest.mark.e2e
def test_worker_processes_give_the_same_parts(store, passed, tmp_path):
    scored(store, passed)
    elsewhere = LocalStorage(tmp_path / "elsewhere")
    for key in store.list("shards/"):
        elsewhere.put(key, store.read(key))
    scored(elsewhere, passed, workers=2)
    assert {key: elsewhere.read(key) for key in parts(elsewhere)} == {key: store.read(key) for key in parts(store)}
