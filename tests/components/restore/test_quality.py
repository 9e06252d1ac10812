"""A bad result is made again, the best is kept, and what stays bad is on a page for a person."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from components.backends.storage import LocalStorage
from components.errors import StorageError, WeightsError
from components.imaging.restorer import Restorer
from components.imaging.sampler import SamplerSettings
from components.restore import review_page
from components.restore.control_settings import QualitySettings
from components.restore.quality import SEED_STEP, Attempt, judged, retry_plan
from flows.settings import load

FIRST = Attempt(seed=7, fidelity=0.0)
SETTINGS = QualitySettings(retries=2)


@pytest.fixture(scope="module")
def good_u8():
    generator = np.random.default_rng(0)
    blocks = cv2.resize(generator.integers(60, 196, (12, 12, 3), np.uint8), (192, 192), interpolation=cv2.INTER_CUBIC)
    return np.rint((blocks + cv2.GaussianBlur(generator.normal(0, 40, (192, 192)), (0, 0), 1.5)[..., None]).clip(20, 235)).astype(
        np.uint8
    )


@pytest.fixture(scope="module")
def lq_u8(good_u8):
    return np.rint((good_u8 + np.random.default_rng(1).normal(0, 6, good_u8.shape)).clip(0, 255)).astype(np.uint8)


def darker(image_u8, levels):
    return image_u8 - np.uint8(levels)


def test_a_good_result_is_taken_at_once(lq_u8, good_u8):
    asked = []
    found = judged(lambda *given: asked.append(given) or good_u8, lq_u8, SETTINGS, FIRST)
    assert asked == [(7, 0.0)]
    assert not found.flagged
    assert found.picture is good_u8
    assert [one.failed for one in found.tried] == [()]


def test_a_result_that_is_there_already_is_not_made_again(lq_u8, good_u8):
    found = judged(lambda *given: pytest.fail("restored again"), lq_u8, SETTINGS, FIRST, made=good_u8)
    assert found.picture is good_u8


def test_a_bad_one_is_made_again_with_another_seed_and_more_fidelity(lq_u8, good_u8):
    results = {0.0: np.zeros_like(good_u8), 0.5: good_u8}
    found = judged(lambda seed, fidelity: results[fidelity], lq_u8, SETTINGS, FIRST)
    assert not found.flagged
    assert found.attempt == Attempt(seed=(7 + SEED_STEP) % 2**63, fidelity=0.5)
    assert len(found.tried) == 2
    assert "consistency" in found.tried[0].failed


def test_the_best_of_bad_ones_is_kept_and_flagged(lq_u8, good_u8):
    made = iter([darker(good_u8, 20), darker(good_u8, 18), darker(good_u8, 19)])
    found = judged(lambda *given: next(made), lq_u8, SETTINGS, FIRST)
    assert found.flagged
    assert len(found.tried) == 3
    assert found.attempt == found.tried[1].attempt
    assert found.picture.max() == darker(good_u8, 18).max()
    assert found.findings.severity == min(one.severity for one in found.tried)


def test_without_retries_it_is_only_flagged(lq_u8, good_u8):
    found = judged(lambda *given: darker(good_u8, 20), lq_u8, QualitySettings(retries=0), FIRST)
    assert found.flagged
    assert len(found.tried) == 1


def test_another_seed_alone_answers_what_is_not_invented(lq_u8):
    found = judged(lambda *given: lq_u8, lq_u8, SETTINGS, Attempt(seed=2**63 - 1, fidelity=0.25))
    assert [one.failed for one in found.tried] == [("changed",)] * 3
    assert {one.attempt.fidelity for one in found.tried} == {0.25}
    seeds = {one.attempt.seed for one in found.tried}
    assert len(seeds) == 3
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_fidelity_rises_half_the_way_each_time_and_never_beyond_one(lq_u8, good_u8):
    bad = judged(lambda *given: darker(good_u8, 20), lq_u8, QualitySettings(retries=0), FIRST).findings
    attempt, values = FIRST, []
    for _ in range(40):
        attempt = retry_plan(bad, attempt)
        values.append(attempt.fidelity)
    assert values[:3] == [0.5, 0.75, 0.875]
    assert 0.999 < max(values) <= 1.0


def test_values_that_are_no_numbers_are_tried_again(lq_u8, good_u8):
    broken = good_u8.astype(np.float32) / 255
    whole, broken[0, 0, 0] = broken.copy(), np.nan
    made = iter([broken, whole])
    found = judged(lambda *given: next(made), lq_u8.astype(np.float32) / 255, SETTINGS, FIRST)
    assert not found.flagged
    assert found.tried[0].failed == ("finite",)
    assert found.picture is whole


def test_weights_that_break_later_do_not_cost_the_picture_that_was_made(lq_u8, good_u8):
    def restore_once(seed, fidelity):
        if seed == FIRST.seed:
            return darker(good_u8, 20)
        raise WeightsError("not finite")

    assert judged(restore_once, lq_u8, SETTINGS, FIRST).flagged
    with pytest.raises(WeightsError):
        judged(restore_once, lq_u8, SETTINGS, Attempt(seed=8, fidelity=0.0))


def test_the_miniature_is_judged_and_made_again_by_its_own_seed_and_fidelity(lq_u8):
    sampler = SamplerSettings(steps=1, start=0.2, shift="none", tile_px=192, overlap_px=32)
    restorer = Restorer(load("tiny").base_folder, None, sampler)
    asked = []

    def restore_once(seed, fidelity):
        asked.append((seed, fidelity))
        (made,) = restorer.with_sampler(sampler.model_copy(update={"fidelity": fidelity})).restore([lq_u8], [seed])
        return made.restored_u8

    strict = SETTINGS.model_copy(update={"inspect": SETTINGS.inspect.model_copy(update={"consistency_u8": 1e-6})})
    found = judged(restore_once, lq_u8, strict, FIRST)
    assert found.flagged
    assert asked == [(one.attempt.seed, one.attempt.fidelity) for one in found.tried]
    assert [fidelity for _, fidelity in asked] == [0.0, 0.5, 0.75]


def entries(store, lq_u8, good_u8, count=3):
    """Flagged pictures, each worse than the one before."""
    for nth in range(count):
        found = judged(lambda *given, nth=nth: darker(good_u8, 18 + nth), lq_u8, QualitySettings(retries=0), FIRST)
        entry = review_page.reviewed(found, lq_u8, image_id=f"{nth:064x}", origin=f"night/<{nth}>.jpg", model="lucidflux/3")
        review_page.keep(store, "job", entry)
    return list(review_page.kept(store, "job"))


def test_an_entry_comes_back_as_it_was_kept_and_takes_the_place_of_an_older_one(tmp_path, lq_u8, good_u8):
    store = LocalStorage(tmp_path)
    first = entries(store, lq_u8, good_u8)
    assert entries(store, lq_u8, good_u8) == first
    assert {one.origin for one in first} == {f"night/<{nth}>.jpg" for nth in range(3)}
    assert first[0].before.startswith(b"\xff\xd8")


def test_the_page_shows_the_worst_first_and_says_what_it_leaves_out(tmp_path, lq_u8, good_u8):
    store = LocalStorage(tmp_path)
    entries(store, lq_u8, good_u8)
    html = store.read(review_page.put_page(store, "job", restored=40, shown=2)).decode()
    assert html.index("1. night/&lt;2&gt;.jpg") < html.index("2. night/&lt;1&gt;.jpg")
    assert "night/&lt;0&gt;.jpg" not in html
    assert "1 picture with smaller faults is not shown" in html
    assert "3 of 40 restored pictures" in html
    assert "The worst tile differs from the LQ by" in html
    assert "lucidflux/3 · seed 7 · fidelity 0" in html
    assert html.count('type="range"') == 2
    assert "http" not in html.replace("http-equiv", "")


def test_the_same_entries_give_the_same_page_in_any_order(tmp_path, lq_u8, good_u8):
    found = entries(LocalStorage(tmp_path), lq_u8, good_u8)
    assert review_page.page(found, batch="job", restored=3, shown=9) == review_page.page(
        reversed(found), batch="job", restored=3, shown=9
    )


def test_a_batch_without_faults_has_a_page_that_says_so(tmp_path):
    html = review_page.page([], batch="job", restored=12, shown=9)
    assert "None of 12 restored pictures is flagged" in html


def test_an_entry_that_is_none_is_named(tmp_path):
    store = LocalStorage(tmp_path)
    store.put("reviews/job/x.json", b"{}")
    with pytest.raises(StorageError, match=r"reviews/job/x\.json"):
        list(review_page.kept(store, "job"))
