import dataclasses

import numpy as np
import pytest

from components.errors import SettingsError, UnknownName
from components.imaging.iqa.paired import compare
from components.register.gates import GATES, Candidate, judge
from components.register.settings import PromoteSettings, RegisterSettings
from tests.records import report, train_run

ACKNOWLEDGED = RegisterSettings(base_licence="Apache-2.0", licences_acknowledged=("PolyForm-Noncommercial-1.0.0",))
IMAGES = 40
CHAMPION = report(22.0)


def rows(shift, seed, *, metric="psnr", level=22.0, images=IMAGES):
    """Scores of made pictures: as difficult as each picture is, and noise of the model."""
    difficulty = np.random.default_rng(7).normal(0, 2, images)
    noise = np.random.default_rng(seed).normal(0, 0.3, images)
    return [
        {"image_id": f"{n:064x}", "benchmark": "heavy", "method": "restored", "metric": metric, "value": level + value + shift}
        for n, value in enumerate(difficulty + noise)
    ]


def candidate(psnr=22.0, **changes):
    values = {
        "run": train_run(),
        "report": report(psnr).model_copy(update={"repeatable": True, "seconds_per_picture": 1.5}),
        "champion": None,
        "paired": (),
        "trained_on": 0,
        "register": ACKNOWLEDGED,
        "promote": PromoteSettings(),
    }
    return Candidate(**(values | changes))


def against(psnr=0.0, piqe=0.0, **changes):
    """A challenger that is so much better than the champion in PSNR and PIQE."""
    ours = rows(psnr, 1) + rows(-piqe, 2, metric="piqe", level=30.0)
    theirs = rows(0, 3) + rows(0, 4, metric="piqe", level=30.0)
    return candidate(champion=CHAMPION, paired=compare(ours, theirs), promote=PromoteSettings(**changes))


def refused(subject, overrides=None):
    return [gate.gate for gate in judge(subject, overrides) if gate.refuses]


def test_a_good_first_model_passes_every_gate():
    assert refused(candidate()) == []


@pytest.mark.parametrize(("psnr", "gates"), [(21.5, []), (21.49, ["restores"])])
def test_a_first_model_is_held_to_the_floor(psnr, gates):
    assert refused(candidate(psnr)) == gates


@pytest.mark.parametrize(
    ("psnr", "piqe", "kind", "gates"),
    [
        (0.5, 0.0, "faithful", []),  # better
        (0.0, 0.0, "faithful", ["superior"]),  # equal
        (-0.5, 5.0, "faithful", ["superior"]),  # nicer and less faithful
        (-0.5, 5.0, "perceptual", []),
        (-2.0, 5.0, "perceptual", ["not_inferior"]),  # too far from the truth even so
        (-0.5, -5.0, "faithful", ["not_inferior", "superior"]),  # worse
        (-0.5, -5.0, "perceptual", ["superior"]),
    ],
)
def test_a_challenger_of_known_worth_gets_the_right_decision(psnr, piqe, kind, gates):
    assert refused(against(psnr, piqe, kind=kind)) == gates


@pytest.mark.parametrize("images", [5, 6])
def test_too_few_shared_pictures_prove_nothing(images):
    ours, theirs = rows(1.0, 1, images=images), rows(0, 3, images=images)
    other = rows(0, 1, metric="ssim", level=0.5, images=images), rows(0, 1, metric="ssim", level=0.5, images=images)
    subject = candidate(champion=CHAMPION, paired=compare(ours + other[0], theirs + other[1]))
    assert refused(subject) == ([] if images == 6 else ["not_inferior", "superior"])


def test_reports_without_a_shared_picture_prove_nothing():
    assert refused(candidate(champion=CHAMPION)) == ["not_inferior", "superior"]


def test_a_licence_that_nobody_acknowledged_refuses_and_is_named():
    gates = judge(candidate(register=RegisterSettings(base_licence="FLUX.1-dev Non-Commercial")))
    licence = next(gate for gate in gates if gate.gate == "licences")
    assert not licence.passed
    assert "FLUX.1-dev" in licence.reason
    assert "PolyForm" in licence.reason


def test_a_broken_expectation_refuses():
    assert refused(candidate(run=train_run(passed=False))) == ["expectations"]


@pytest.mark.parametrize(
    ("changes", "gate"),
    [
        ({"trained_on": 1}, "leakage"),
        ({"report": report(22.0).model_copy(update={"repeatable": False})}, "repeatable"),
        ({"report": report(22.0)}, "repeatable"),
        ({"promote": PromoteSettings(budget_seconds=1.4)}, "budget"),
    ],
)
def test_what_is_wrong_with_a_candidate_is_found(changes, gate):
    assert refused(candidate(**changes)) == [gate]


def test_a_reviewer_lets_a_failure_pass_in_a_name_with_a_reason():
    subject = candidate(trained_on=1)
    assert refused(subject, {"leakage": "Ann: the benchmark is retired"}) == []
    judged = {gate.gate: gate for gate in judge(subject, {"leakage": "Ann: the benchmark is retired"})}
    assert (judged["leakage"].passed, judged["leakage"].overridden) == (False, "Ann: the benchmark is retired")
    with pytest.raises(SettingsError, match="NAME: reason"):
        judge(subject, {"leakage": "Ann"})
    with pytest.raises(UnknownName, match="Did you mean 'leakage'"):
        judge(subject, {"leakag": "Ann: ok"})


def test_an_unknown_gate_gets_a_suggestion():
    with pytest.raises(UnknownName, match="Did you mean 'restores'"):
        judge(candidate(promote=PromoteSettings(gates=("restore",))))


def test_every_gate_is_on_by_default():
    assert set(PromoteSettings().gates) == set(GATES)


def test_a_comparison_is_the_same_in_any_order_and_counts_every_picture():
    ours, theirs = rows(0.2, 1), rows(0, 3)
    found = compare(ours, theirs)
    assert compare(ours[::-1], theirs[::-1]) == found
    (one,) = found
    assert (one.n, one.wins + one.ties + one.losses) == (IMAGES, IMAGES)
    assert [worst.difference for worst in one.worst] == sorted(worst.difference for worst in one.worst)
    assert one.interval[0] < one.mean < one.interval[1]


def test_lower_is_better_turns_the_sign():
    (better,) = compare(rows(-1, 1, metric="piqe"), rows(0, 3, metric="piqe"))
    assert better.mean > 0.5


def equal_models_promoted(count, images):
    """How many of so many comparisons of equal models pass the gate of the primary metric."""
    passed = 0
    for number in range(count):
        noise = np.random.default_rng(number).normal(0, 0.3, (2, images))
        both = [
            [
                {"image_id": f"{n:03}-{number}", "benchmark": "heavy", "method": "restored", "metric": "psnr", "value": value}
                for n, value in enumerate(side)
            ]
            for side in noise
        ]
        subject = dataclasses.replace(candidate(), champion=CHAMPION, paired=compare(*both))
        passed += GATES["superior"](subject).passed
    return passed


@pytest.mark.e2e
def test_of_a_thousand_comparisons_of_equal_models_no_more_than_one_in_twenty_is_promoted():
    promoted = equal_models_promoted(1000, 24)
    assert promoted <= 50 + 1.96 * np.sqrt(1000 * 0.05 * 0.95)
    assert promoted >= 5  # the gate is no wall either
