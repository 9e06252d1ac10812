import pytest

from components.errors import UnknownName
from components.register.gates import Candidate, judge
from components.register.settings import PromoteSettings, RegisterSettings
from tests.records import report, train_run

ACKNOWLEDGED = RegisterSettings(base_licence="Apache-2.0", licences_acknowledged=("PolyForm-Noncommercial-1.0.0",))


def candidate(psnr=22.0, **changes):
    values = {
        "run": train_run(),
        "report": report(psnr),
        "champion": None,
        "register": ACKNOWLEDGED,
        "promote": PromoteSettings(),
    }
    return Candidate(**(values | changes))


def refused(subject):
    return [gate.gate for gate in judge(subject) if not gate.passed]


def test_a_good_first_model_passes_every_gate():
    assert refused(candidate()) == []


@pytest.mark.parametrize(("psnr", "gates"), [(21.5, []), (21.49, ["restores"])])
def test_the_floor_holds_at_its_edge(psnr, gates):
    assert refused(candidate(psnr)) == gates


@pytest.mark.parametrize(("champion", "gates"), [(22.25, []), (22.26, ["not_worse"])])
def test_a_challenger_may_fall_by_the_margin_and_no_more(champion, gates):
    subject = candidate(22.0, champion=report(champion), promote=PromoteSettings(margin_psnr_db=0.25))
    assert refused(subject) == gates


def test_reports_without_a_shared_benchmark_prove_nothing():
    assert refused(candidate(champion=report(20.0, benchmarks=("other",)))) == ["not_worse"]


def test_a_licence_that_nobody_acknowledged_refuses_and_is_named():
    gates = judge(candidate(register=RegisterSettings(base_licence="FLUX.1-dev Non-Commercial")))
    licence = next(gate for gate in gates if gate.gate == "licences")
    assert not licence.passed
    assert "FLUX.1-dev" in licence.reason
    assert "PolyForm" in licence.reason


def test_a_broken_expectation_refuses():
    assert refused(candidate(run=train_run(passed=False))) == ["expectations"]


def test_an_unknown_gate_gets_a_suggestion():
    with pytest.raises(UnknownName, match="Did you mean 'restores'"):
        judge(candidate(promote=PromoteSettings(gates=("restore",))))
