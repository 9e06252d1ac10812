"""The table of an ablation, from reports to page."""

import math

import pytest

from components.errors import SettingsError, UnknownName
from components.evaluate.ablation import ARMS, chosen, compare, estimate, page
from components.records import MetricSummary
from tests.records import report as any_report

SEEDS = (0, 1, 2)


def report(psnr, piqe):
    cells = [("restored", "psnr", psnr, True), ("restored", "piqe", piqe, False), ("lq", "psnr", 20.0, True)]
    summaries = tuple(
        MetricSummary(benchmark="heavy", method=method, metric=metric, mean=mean, n=8, higher_is_better=up)
        for method, metric, mean, up in cells
    )
    return any_report(1.0).model_copy(update={"summaries": summaries, "checkpoint_sha256": f"{psnr}"})


def reports(*arms):
    return {name: [report(*values) for values in seeds] for name, seeds in zip(ARMS, arms, strict=False)}


FIRST = [(25.0, 40.0), (25.2, 41.0), (24.8, 39.0)]
SECOND = [(25.5, 38.0), (25.8, 39.0), (25.2, 36.0)]


def test_the_interval_is_students():
    found = estimate([1.0, 2.0, 4.0])
    half = 4.302653 * math.sqrt(7 / 3) / math.sqrt(3)  # t of 2 degrees of freedom at .975
    assert found.mean == pytest.approx(7 / 3)
    assert found.interval == pytest.approx((7 / 3 - half, 7 / 3 + half), abs=1e-5)
    assert estimate([1.0]).interval is None


def test_gains_are_taken_seed_by_seed_and_positive_is_better():
    made = compare("d", SEEDS, reports(FIRST, SECOND))
    first, second = ({cell.metric: cell for cell in arm.cells} for arm in made.arms)
    assert first["psnr"].gain is None
    assert second["psnr"].gain.mean == pytest.approx(0.5)
    assert second["psnr"].gain.interval == estimate([25.5 - 25.0, 25.8 - 25.2, 25.2 - 24.8]).interval
    assert second["piqe"].gain.mean == pytest.approx((2 + 2 + 3) / 3)
    assert [arm.name for arm in made.arms] == list(ARMS)[:2]
    assert made.arms[1].checkpoints == ("25.5", "25.8", "25.2")


def test_the_page_marks_gains_whose_interval_does_not_hold_zero():
    html = page(compare("d", SEEDS, reports(FIRST, SECOND)))
    assert "+0.500 *" in html
    assert "73.0088" in html
    worse = page(compare("d", SEEDS, reports(FIRST, [(25.9, 40.0), (24.0, 40.0), (25.1, 40.0)])))
    assert "*</td>" not in worse


def test_reports_of_other_metrics_are_refused():
    other = reports(FIRST, SECOND)
    other["+ semantic tokens"] = [one.model_copy(update={"summaries": one.summaries[:1]}) for one in other["+ semantic tokens"]]
    with pytest.raises(SettingsError, match="scored as the arm above"):
        compare("d", SEEDS, other)


def test_arms_are_taken_by_name_in_their_order():
    assert list(chosen(["+ curated data", "dual branch"])) == ["dual branch", "+ curated data"]
    assert chosen([]) == dict(ARMS)
    with pytest.raises(UnknownName, match="Did you mean 'dual branch'"):
        chosen(["dual-branch"])
