"""The same source raises hardly any alarm, a shift of known size does, and a batch is the same batch in any order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from components.backends.storage import LocalStorage
from components.errors import StorageError
from components.imaging import codec, measures
from components.restore import drift
from components.restore.drift import DriftSettings, Sample

SETTINGS = DriftSettings()


def rows(generator, count, shift=0.0, statistics=8, prefix="a"):
    """Rows of independent normal statistics; the first is moved by some deviations."""
    values = generator.normal(size=(count, statistics))
    values[:, 0] += shift
    return [
        (f"{prefix}{nth}", {f"s{column}": float(value) for column, value in enumerate(row)}) for nth, row in enumerate(values)
    ]


def columns(**values):
    """A sample with the given columns, ids 0, 1, ..."""
    count = max(len(column) for column in values.values())
    return Sample(count, {str(nth): {name: column[nth] for name, column in values.items()} for nth in range(count)})


def compared(found, reference, **changes):
    return drift.compare("now", found, {"training set": reference}, SETTINGS.model_copy(update=changes))


def test_the_same_source_raises_an_alarm_as_often_as_the_level_says():
    """1,000 batches of 4 statistics; the size of the shift is not asked for, so that the test alone decides."""
    generator = np.random.default_rng(0)
    alarms = 0
    for nth in range(1000):
        if nth % 10 == 0:
            reference = Sample(200, dict(rows(generator, 200, statistics=4)))
        batch = Sample(100, dict(rows(generator, 100, statistics=4)))
        alarms += bool(compared(batch, reference, level=0.05, psi_maximum=0.0).drifted)
    # of 1,000 at 5 %: fewer than 72 in all but one of a thousand such tests; that there are some shows that it is a test
    assert 10 <= alarms < 72


def test_with_the_defaults_a_batch_of_the_same_source_is_hardly_ever_drifted():
    generator = np.random.default_rng(1)
    alarms = 0
    for _ in range(100):
        alarms += bool(compared(Sample(100, dict(rows(generator, 100))), Sample(500, dict(rows(generator, 500)))).drifted)
    assert alarms <= 2


@pytest.mark.parametrize(("shift", "found"), [(0.75, 0.95), (1.0, 1.0)])
def test_a_shift_of_known_size_is_found_in_the_statistic_that_moved(shift, found):
    generator = np.random.default_rng(2)
    hits = 0
    for _ in range(100):
        report = compared(Sample(200, dict(rows(generator, 200, shift))), Sample(500, dict(rows(generator, 500))))
        hits += [line.statistic for line in report.drifted] == ["s0"]
    assert hits >= 100 * found - 2


def test_a_shift_that_is_certain_but_small_is_no_alarm():
    generator = np.random.default_rng(3)
    settings = DriftSettings(sample=10_000)
    now = Sample(10_000, dict(rows(generator, 10_000, 0.15, 1)))
    (line,) = drift.compare("now", now, {"before": Sample(10_000, dict(rows(generator, 10_000, 0, 1)))}, settings).lines
    assert line.p_holm < 1e-6
    assert line.psi < 0.05
    assert line.verdict == "steady"


def test_a_shift_that_is_large_but_may_be_chance_is_no_alarm():
    generator = np.random.default_rng(4)
    report = compared(Sample(12, dict(rows(generator, 12, 0.5))), Sample(12, dict(rows(generator, 12))), pictures_minimum=2)
    assert max(line.psi for line in report.lines) > SETTINGS.psi_maximum
    assert not report.drifted


@pytest.mark.parametrize(("n", "m"), [(50, 50), (60, 2000), (2000, 2000)])
def test_the_chance_of_a_distance_is_scipys(n, m):
    generator = np.random.default_rng(9)
    for shift in (0.0, 0.1, 0.3):
        now, then = generator.normal(shift, 1, n), generator.normal(0, 1, m)
        (line,) = compared(columns(s=list(now)), columns(s=list(then))).lines
        expected = stats.ks_2samp(now, then, method="asymp")
        assert line.ks == pytest.approx(expected.statistic, abs=1e-12)
        assert line.p == pytest.approx(expected.pvalue, rel=0.2, abs=1e-4)


def test_the_index_and_the_distance_are_those_of_counting_by_hand():
    reference, now = columns(s=[float(value) for value in range(100)]), columns(s=[95.0] * 50 + [5.0] * 50)
    (line,) = compared(now, reference).lines
    assert line.ks == pytest.approx(0.45)  # half lies at 5, where 6 of 100 are, and nothing up to 95, where 95 are
    assert line.psi > 1
    assert (line.n, line.n_reference, line.median, line.median_reference) == (100, 100, 50.0, 49.5)


@pytest.mark.parametrize(("value", "verdict"), [(3.0, "steady"), (2.0, "drifted"), (4.0, "drifted")])
def test_a_constant_is_steady_until_it_is_another(value, verdict):
    (line,) = compared(columns(s=[value] * 60), columns(s=[3.0] * 60)).lines
    assert line.verdict == verdict
    assert (line.psi == 0) == (verdict == "steady")


def test_values_outside_all_of_the_reference_count_as_moved():
    reference = columns(s=list(np.linspace(0, 1, 200)))
    for outside in (-5.0, 5.0):
        (line,) = compared(columns(s=[outside] * 60), reference).lines
        assert line.verdict == "drifted"


def test_missing_values_do_not_count_and_too_few_are_said():
    gaps = [math.nan, None, math.inf]
    report = compared(columns(s=[1.0, 2.0] * 25 + gaps, t=[1.0] * 3 + [None] * 50), columns(s=[1.0, 2.0] * 50, t=[1.0] * 100))
    lines = {line.statistic: line for line in report.lines}
    assert lines["s"].n == 50
    assert lines["s"].verdict == "steady"
    assert lines["t"].verdict == "unknown"
    assert lines["t"].sentence == "t is not judged: this batch has 3 pictures with a value, 50 are needed."
    few = compared(columns(s=[1.0] * 50), columns(s=[1.0] * 49)).lines[0]
    assert few.sentence == "s is not judged: the training set has 49 pictures with a value, 50 are needed."


def test_one_picture_and_none_have_a_report_without_a_verdict():
    reference = columns(s=[1.0] * 60)
    assert [line.verdict for line in compared(columns(s=[1.0]), reference).lines] == ["unknown"]
    empty = compared(drift.sample([], 10), reference)
    assert (empty.pictures, empty.lines, empty.drifted) == (0, (), ())
    assert "None of 0" in empty.summary


def test_more_comparisons_make_each_one_stricter():
    generator = np.random.default_rng(5)
    now, reference = Sample(200, dict(rows(generator, 200, 0.4))), Sample(200, dict(rows(generator, 200)))
    (alone,) = compared(columns(s0=list(now.values("s0").values())), reference).lines
    first = next(line for line in compared(now, reference).lines if line.statistic == "s0")
    assert alone.p == pytest.approx(first.p)
    assert alone.p_holm == alone.p
    assert first.p_holm == pytest.approx(min(1, 8 * first.p))


def test_the_report_names_the_pictures_that_lie_where_the_statistic_moved_to():
    reference = columns(s=list(np.linspace(0, 1, 100)))
    now = columns(s=[*np.linspace(0, 1, 60), *[7.0] * 60])
    report = compared(now, reference)
    assert set(report.moved_ids) == {str(nth) for nth in range(60, 120)}
    assert len(compared(now, reference, named=9).moved_ids) == 9
    assert compared(reference, reference).moved_ids == ()


def test_a_sample_is_the_same_in_any_order_and_by_any_number_of_workers():
    all_rows = rows(np.random.default_rng(6), 500)
    whole = drift.sample(all_rows, 100)
    assert (whole.pictures, len(whole.rows)) == (500, 100)
    assert drift.sample(reversed(all_rows), 100) == whole
    shards = [drift.sample(all_rows[start::3], 100) for start in range(3)]
    assert drift.merged(shards, 100) == whole
    assert list(drift.merged(shards, 100).rows) == list(whole.rows)


def test_a_sample_is_drawn_evenly():
    all_rows = [(f"{nth}", {"s": float(nth)}) for nth in range(20_000)]
    values = np.array(list(drift.sample(all_rows, 1000).values("s").values()))
    counts, _ = np.histogram(values, 10, (0, 20_000))
    assert ((counts - 100) ** 2 / 100).sum() < 30  # chi-squared with 9 degrees of freedom: above it in 0.04 %


def test_a_packed_sample_comes_back_with_what_is_missing_missing():
    packed = drift.sample([("a", {"s": 1.25, "t": math.nan}), ("b", {"s": None})], 10).pack()
    back = Sample.unpack(packed)
    assert back.values("s") == {"a": 1.25}
    assert back.values("t") == {}
    assert back.pictures == 2
    for broken in (b"", b"[]", packed.replace(b'"form": 1', b'"form": 2'), packed.replace(b"1.25,", b"")):
        with pytest.raises(StorageError, match="sample of a batch"):
            Sample.unpack(broken)


def test_a_batch_is_compared_with_those_before_it_and_recorded_once(tmp_path):
    store = LocalStorage(tmp_path)
    generator = np.random.default_rng(7)
    assert drift.last(store, "b0", SETTINGS) is None
    for nth in range(4):
        found = drift.sample(rows(generator, 60, prefix=f"b{nth}-"), SETTINGS.sample)
        for _ in range(2):
            drift.record(store, found, drift.compare(f"b{nth}", found, {}, SETTINGS))
    before = drift.last(store, "b3", SETTINGS.model_copy(update={"batches": 2}))
    assert before.pictures == 120
    assert {image_id.partition("-")[0] for image_id in before.rows} == {"b1", "b2"}
    assert drift.last(store, "new", SETTINGS).pictures == 240
    assert [one.batch for one in drift.reports(store, "b3", 9)] == ["b0", "b1", "b2"]
    assert drift.last(store, "new", SETTINGS.model_copy(update={"batches": 0})) is None


def test_noise_on_photos_is_found_in_inputs_and_outputs_alike(test_data):
    """Sixty crops of real photos against sixty others, clean and with noise that the outputs still have."""
    photos = [codec.decode(path.read_bytes()).image_u8 for path in sorted((test_data / "photos_hq").glob("kodim*"))]
    generator = np.random.default_rng(8)

    def batch(sigma):
        for nth in range(60):
            photo = photos[nth % len(photos)]
            top, left = generator.integers(photo.shape[0] - 256), generator.integers(photo.shape[1] - 256)
            crop = photo[top : top + 256, left : left + 256]
            noisy = np.rint((crop + generator.normal(0, sigma, crop.shape)).clip(0, 255)).astype(np.uint8) if sigma else crop
            yield f"{sigma}-{nth}", drift.measure(noisy, noisy)

    reference, same, moved = (drift.sample(batch(sigma), 100) for sigma in (0, 0, 12))
    assert not compared(same, reference).drifted
    assert {"input.noise", "input.blur", "output.noise"} <= {line.statistic for line in compared(moved, reference).drifted}


def test_what_is_measured_by_default_is_what_is_cheap():
    assert SETTINGS.statistics == measures.CHEAP


def test_a_curated_row_gives_what_outputs_are_compared_with():
    assert drift.curated({"blur": 200.0, "flat_share": 0.1, "width_px": 1000, "height_px": 2000}) == {
        "output.blur": 200.0,
        "output.flat_share": 0.1,
        "output.megapixels": 2.0,
    }
    assert drift.curated({"blur": None, "width_px": None})["output.megapixels"] is None


def test_the_page_shows_verdicts_distributions_and_the_batches_before(tmp_path):
    store = LocalStorage(tmp_path)
    generator = np.random.default_rng(10)
    training = Sample(500, dict(rows(generator, 500)))
    for nth, shift in enumerate((0.0, 0.0, 2.0)):
        found = Sample(100, dict(rows(generator, 100, shift, prefix=f"<b{nth}>")))
        report = drift.watch(store, f"b{nth}", found, {"training set": training}, SETTINGS)
    html = store.read(report.page).decode()
    assert [line.statistic for line in report.drifted] == ["s0", "s0"]
    assert '<td class="left off">drifted</td>' in html
    assert html.count("<svg viewBox") == 8 + 3
    assert ['<th scope="col">b0</th>' in html, '<th scope="col">b1</th>' in html] == [True, True]
    assert "&lt;b2&gt;" in html
    assert "<b2>" not in html
    assert "<script" not in html
    assert drift.watch(store, "b2", found, {"training set": training}, SETTINGS) == report


def test_a_kept_report_that_is_none_is_named(tmp_path):
    store = LocalStorage(tmp_path)
    found = columns(s=[1.0])
    drift.watch(store, "b0", found, {}, SETTINGS)
    store.put("drift/b0/report.json", b"{}")
    with pytest.raises(StorageError, match=r"drift/b0/report\.json"):
        drift.watch(store, "b1", found, {}, SETTINGS)


def test_a_first_batch_and_an_empty_one_have_a_page():
    assert "There is nothing to compare with yet" in drift.page(
        compared(columns(s=[1.0, 1.0]), Sample(0, {})), columns(s=[1.0, 1.0]), {}
    )
    empty = drift.sample([], 10)
    assert "a batch of 0 pictures" in drift.page(compared(empty, empty), empty, {"training set": empty})
