import math

import pytest

from components.backends.contracts.counting import Counter
from components.backends.contracts.rules import STATISTICS, Drift, Measure, Rows, Sets, Share
from components.backends.contracts.suites import SUITES, load
from components.backends.storage import LocalStorage
from components.backends.tables import Tables
from tests.components.backends.contract_rows import LIMITS, image, lost, named, pair, rejected

NUMBERS = {"pixels": 0, "sigmas_maximum": 4, "psnr_minimum": 5, "share_rows_minimum": 2, "drift_rows_minimum": 1, **LIMITS}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    with Tables(LocalStorage(tmp_path_factory.mktemp("objects"))) as session:
        yield session


def counter(tables, kind, rows):
    tables.table("rows", kind, rows)
    tables.table("leaks", "leaks", [{"id": f"{99:064x}", "benchmark": "b", "benchmark_id": "1"}])
    tables.table("allowed", "groups", [{"id": pair(number, 0)["hq_id"]} for number in (1, 7, 8)])
    tables.table("guarded", "groups", [{"id": pair(8, 0)["hq_id"]}])
    return Counter(tables, "rows", NUMBERS)


def broken_by(found, kind):
    counts = {key for key, statistic in STATISTICS[kind].items() if isinstance(statistic, Rows | Sets)}
    return {key for key in counts if found.values[key]}


MISSING = {
    "id",
    "shard",
    "offset",
    "length",
    "width_px",
    "height_px",
    "format",
    "scene",
    "split",
    "quality",
    "blur",
    "flat_share",
}
IMAGES = {
    **{f"{name}_missing": {name: None} for name in MISSING},
    **{f"{name}_missing": {name: ""} for name in ("origin", "source", "licence")},
    "trusted_missing": {"trusted": None},
    "verdict_missing": {"verdict": None},
    "origin_repeated": {"origin": "photos/1.jpg"},
    "verdict_unknown": {"verdict": "perhaps"},
    "reason_missing": {"verdict": "failed", "reason": None},
    "reason_of_kept": {"reason": "blurred"},
    "related_missing": {"verdict": "rejected", "reason": "leak"},
    "id_malformed": {"id": "A" * 64},
    "id_repeated": {"id": f"{1:064x}"},
    "offset_negative": {"offset": -1},
    "length_not_positive": {"length": 0, "bytes": 0},
    "width_px_not_positive": {"width_px": 0},
    "height_px_not_positive": {"height_px": 0},
    "length_differs": {"length": 99},
    "blur_negative": {"blur": -0.1, "verdict": "rejected", "reason": "blurred"},
    "flat_share_outside": {"flat_share": 1.01, "verdict": "rejected", "reason": "flat"},
    "quality_not_finite": {"quality": math.inf, "trusted": True},
    "kept_too_small": {"height_px": 239},
    "blur_outside": {"blur": 8000.1},
    "flat_share_above": {"flat_share": 0.51},
    "split_unknown": {"split": "both"},
    "scene_on_both_sides": {"scene": "scene1", "split": "test"},
    "group_kept_twice": {"group": "g"},
    "leak_kept": {"id": f"{99:064x}"},
}
"""What breaks one rule, and only that, in a kept row beside good ones."""
IMPLIED = {"width_px_not_positive": {"kept_too_small"}, "height_px_not_positive": {"kept_too_small"}}
"""Rules that cannot hold either."""


def good_rows():
    return [image(1, group="g"), image(2, quality=None, trusted=True), lost(3), rejected(4, "quality_rank"), lost(5)]


@pytest.mark.parametrize("key", [key for key, one in STATISTICS["images"].items() if isinstance(one, Rows | Sets)])
def test_a_broken_image_is_counted_and_named_by_its_rule_alone(tables, key):
    row = image(50, **IMAGES[key])
    counting = counter(tables, "images", [*good_rows(), row])
    found = counting.count(STATISTICS["images"])
    assert broken_by(found, "images") == {key} | IMPLIED.get(key, set())
    statistic = STATISTICS["images"][key]
    clashing = [named(image(1)), named(row)] if isinstance(statistic, Sets) else [named(row)]
    assert found.values[key] == len(clashing)
    assert sorted(counting.named(statistic)) == sorted(clashing)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("score", ["blur", "flat_share", "quality"])
def test_a_score_that_is_no_number_is_missing_and_nothing_else(tables, score, value):
    found = counter(tables, "images", [image(1), image(2, **{score: value})]).count(STATISTICS["images"])
    not_finite = {"quality_not_finite"} if score == "quality" and value is not None else set()
    negative = {"blur_negative"} if score == "blur" and value == -math.inf else set()
    assert broken_by(found, "images") == {f"{score}_missing"} | not_finite | negative


def test_a_rule_on_kept_rows_leaves_the_others_alone(tables):
    changes = {"offset": -1, "length": 0, "shard": "", "scene": "scene1", "group": "g", "blur": 9999.0, "flat_share": 0.9}
    rows = [image(1, group="g"), rejected(2, **changes, split="test", id=f"{1:064x}"), lost(3, id=f"{1:064x}")]
    assert broken_by(counter(tables, "images", rows).count(STATISTICS["images"]), "images") == set()


def test_a_score_at_its_limit_passes(tables):
    rows = [image(1, blur=100.0), image(2, blur=8000.0, flat_share=0.5), image(3, flat_share=0.0)]
    assert broken_by(counter(tables, "images", rows).count(STATISTICS["images"]), "images") == set()


def test_no_rows_break_no_rule_and_have_no_shares(tables):
    found = counter(tables, "images", []).count(STATISTICS["images"])
    assert broken_by(found, "images") == set()
    assert found.values["rows"] == 0
    assert found.skipped["share_of_blurred"] == "0 rows say little about a share, 2 are needed"


PAIRS = {
    **{
        f"{name}_missing": {name: None}
        for name in ("id", "hq_id", "epoch", "seed", "split", "recipe", "shard", "offset", "length")
    },
    "offset_negative": {"offset": -1},
    "epoch_negative": {"epoch": -1},
    "length_not_positive": {"length": 0},
    "id_repeated": {"id": pair(1, 0)["id"]},
    "hq_id_epoch_repeated": {"hq_id": pair(1, 0)["hq_id"]},
    "split_not_train": {"split": "test"},
    "hq_id_not_allowed": {"hq_id": pair(9, 0)["hq_id"]},
    "hq_id_in_benchmark": {"hq_id": pair(8, 0)["hq_id"]},
    "pixels_incomplete": {"pixels": "shards/b.tar", "hq_offset": 512, "hq_length": 9, "lq_offset": 1536, "lq_length": 9},
}


@pytest.mark.parametrize("key", [key for key, one in STATISTICS["pairs"].items() if isinstance(one, Rows | Sets)])
def test_a_broken_pair_is_counted_and_named_by_its_rule_alone(tables, key):
    row = pair(7, 0) | PAIRS[key]
    counting = counter(tables, "pairs", [pair(1, 0), pair(1, 1), row])
    found = counting.count(STATISTICS["pairs"])
    assert broken_by(found, "pairs") == {key}
    assert named(row) in counting.named(STATISTICS["pairs"][key])


PLACED = {"pixels": "shards/b.tar", "hq_offset": 512, "hq_length": 9, "lq_offset": 1536, "lq_length": 9}


@pytest.mark.parametrize("changes", [{"pixels": None}, {"pixels": ""}, {"lq_offset": None}, {"hq_length": 0}, {"lq_offset": 512}])
def test_pixels_that_are_asked_for_must_be_there_whole(tables, changes):
    tables.table("rows", "pairs", [pair(1, 0, **PLACED), pair(7, 0, **PLACED) | changes])
    found = Counter(tables, "rows", NUMBERS | {"pixels": 1}).count(STATISTICS["pairs"])
    assert found.values["pixels_incomplete"] == 1


OTHERS = [
    ("parameters", "value_outside", {"outside": 1}),
    ("parameters", "share_unlikely", {"sigmas": -4.1}),
    ("looks", "psnr_missing", {"psnr": None}),
    ("looks", "ssim_missing", {"ssim": None}),
    ("looks", "psnr_too_low", {"psnr": 4.9}),
]
GOOD = {
    "parameters": {"id": "two-stage.flip = yes", "origin": "5 of 10", "n": 10, "outside": 0, "sigmas": 4.0},
    "looks": {"id": "a" * 64, "psnr": 5.0, "ssim": 0.5},
}


@pytest.mark.parametrize(("kind", "key", "changes"), OTHERS, ids=[key for _, key, _ in OTHERS])
def test_a_broken_row_of_values_or_looks_is_counted_by_its_rule_alone(tables, kind, key, changes):
    found = counter(tables, kind, [GOOD[kind], GOOD[kind] | changes]).count(STATISTICS[kind])
    assert broken_by(found, kind) == {key}
    assert {key for _, key, _ in OTHERS} == {
        key for kind in GOOD for key, one in STATISTICS[kind].items() if isinstance(one, Rows)
    }


def test_a_share_is_of_the_rows_that_did_not_fail(tables):
    rows = [image(1), rejected(2), rejected(3, "flat"), rejected(4), lost(5), lost(6)]
    found = counter(tables, "images", rows).count(STATISTICS["images"]).values
    assert (found["share_of_blurred"], found["share_of_flat"], found["share_of_noisy"]) == (0.5, 0.25, 0)
    assert found["share_of_failed"] == pytest.approx(2 / 6)
    assert found["kept_ranked"] == 1


def test_a_rule_is_skipped_where_the_table_that_it_reads_is_not_there(tables):
    counting = counter(tables, "images", [image(1)])
    tables.run("drop table leaks")
    found = counting.count(STATISTICS["images"])
    assert found.skipped["leak_kept"] == "there is no table 'leaks'"
    assert "leak_kept" not in found.values


def test_every_statistic_is_expected_by_a_suite():
    expected = {(load(name).kind, key) for name in SUITES for key in load(name).says}
    assert expected == {(kind, key) for kind, statistics in STATISTICS.items() for key in statistics}


def test_what_counts_broken_rows_is_expected_to_be_nothing():
    for name in SUITES:
        suite = load(name)
        for one in suite.expectations:
            statistic = suite.statistics[one["kwargs"]["column"]]
            bounds = {key: value for key, value in one["kwargs"].items() if key != "column"}
            if isinstance(statistic, Rows | Sets):
                assert bounds == {"max_value": 0}, one
            else:
                assert isinstance(statistic, Measure | Share | Drift)
                assert all("$PARAMETER" in value for value in bounds.values()), one
