import math

import numpy as np
import pytest

from components.backends.contracts import drift
from components.backends.storage import LocalStorage
from components.backends.tables import Tables
from tests.components.backends.contract_rows import image


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    with Tables(LocalStorage(tmp_path_factory.mktemp("objects"))) as session:
        yield session


def versions(tables, before, now):
    """Two relations whose rows have the given blur."""
    for name, values in (("before", before), ("now", now)):
        tables.table(
            name, "images", [image(nth, blur=None if value is None else float(value)) for nth, value in enumerate(values)]
        )


def blur_index(tables, minimum=1):
    return drift.measure(tables, "now", "before", ["blur"], rows_minimum=minimum)["blur"]


def test_the_index_is_the_sum_over_bins_of_the_difference_times_the_log_ratio():
    expected, actual = (60.5 / 101, 40.5 / 101), (30.5 / 101, 70.5 / 101)
    by_hand = sum((a - e) * math.log(a / e) for e, a in zip(expected, actual, strict=True))
    assert drift.stability_index([60, 40], [30, 70]) == pytest.approx(by_hand, rel=1e-12)
    assert drift.stability_index([60, 40], [60, 40]) == 0
    assert 0 < drift.stability_index([100, 0], [99, 1]) < 0.02


def test_bins_are_the_deciles_of_the_version_before(tables):
    before, now = range(1, 101), [5] * 50 + [95] * 50
    versions(tables, before, now)
    assert blur_index(tables) == pytest.approx(drift.stability_index([10] * 10, [50, *[0] * 8, 50]), rel=1e-12)


def test_the_same_distribution_is_no_drift_and_a_moved_one_is(tables):
    generator = np.random.default_rng(0)
    before, same = (generator.lognormal(5.5, 1.5, 2000) for _ in range(2))
    versions(tables, before, same)
    assert blur_index(tables) < 0.1
    versions(tables, before, generator.lognormal(6.5, 1.5, 2000))
    assert blur_index(tables) > 0.25


def test_equal_values_share_a_bin_and_fall_on_one_side(tables):
    versions(tables, [0.1] * 90 + [0.7] * 10, [0.1] * 90 + [0.7] * 10)
    assert blur_index(tables) == 0
    versions(tables, [0.1] * 100, [0.1] * 50 + [0.2] * 50)
    assert blur_index(tables) == pytest.approx(drift.stability_index([100, 0], [50, 50]), rel=1e-12)


def test_rows_without_a_score_do_not_count(tables):
    versions(tables, [*range(100), None, math.nan], [*range(100), None, math.nan, math.inf])
    assert blur_index(tables) == 0


def test_too_few_rows_have_no_index_but_a_reason(tables):
    versions(tables, range(100), [*range(99), None])
    assert blur_index(tables, minimum=99) > 0
    assert blur_index(tables, minimum=100) == "only 99 rows of one version have blur, 100 are needed"
    versions(tables, [], [])
    assert blur_index(tables) == "only 0 rows of one version have blur, 1 are needed"


def test_deciles_of_a_sample_are_near_those_of_all_rows(tables, monkeypatch):
    tables.run("create or replace table before as select sha256(range::varchar) as id, range::double as blur from range(40000)")
    tables.run("create or replace table now as select id, 40000 * pow(blur / 40000, 1.5) as blur from before")
    exact = blur_index(tables)
    monkeypatch.setattr(drift, "EDGE_ROWS", 4000)
    assert blur_index(tables) != exact
    assert blur_index(tables) == pytest.approx(exact, rel=0.1)
