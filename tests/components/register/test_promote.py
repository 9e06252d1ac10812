import pytest

from components.backends.state import Ledger
from components.errors import GateError, RegistryError
from components.records import GateResult
from components.register.promote import promote, rollback

GOOD = (GateResult(gate="restores", passed=True, observed=2.0, required=1.5, reason="PSNR over LQ on heavy is +2.00 dB"),)
BAD = (*GOOD, GateResult(gate="licences", passed=False, observed=0, required=1, reason="not acknowledged: X"))


@pytest.fixture
def ledger(tmp_path):
    return Ledger(f"sqlite:///{tmp_path / 'state.db'}")


@pytest.fixture
def versions(tracker, tmp_path, request):
    """Three versions of a model of this test's own."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("flavors: {}\n")
    name = request.node.name
    run_id = tracker.start_run(name, name=name, settings={}, tags={})
    return [
        tracker.register(name, tmp_path / "model", key=str(number), run_id=run_id, tags={}, card="", licence="Apache-2.0")
        for number in range(3)
    ]


def champion(tracker, versions):
    found = tracker.by_alias(versions[0].name, "champion")
    return found and found.version


def go(tracker, ledger, version, gates=GOOD):
    return promote(tracker, ledger, version, gates, who="me")


def story(ledger):
    return [(entry.action, entry.version, entry.previous_version) for entry in ledger.entries()]


def test_a_version_that_passes_becomes_the_champion(tracker, ledger, versions):
    made = go(tracker, ledger, versions[0])
    assert (made.alias, made.gates, champion(tracker, versions)) == ("champion", GOOD, 1)
    go(tracker, ledger, versions[1])
    assert champion(tracker, versions) == 2
    assert story(ledger) == [("promoted", 1, None), ("promoted", 2, 1)]
    assert ledger.verify() == 2


def test_promoting_the_champion_again_writes_nothing(tracker, ledger, versions):
    first = go(tracker, ledger, versions[0])
    assert go(tracker, ledger, versions[0]) == first
    assert len(ledger.entries()) == 1


def test_a_refusal_names_the_gate_is_recorded_and_moves_nothing(tracker, ledger, versions):
    go(tracker, ledger, versions[0])
    with pytest.raises(GateError, match="licences: not acknowledged: X"):
        go(tracker, ledger, versions[1], BAD)
    assert champion(tracker, versions) == 1
    assert story(ledger) == [("promoted", 1, None), ("refused", 2, 1)]
    assert ledger.entries()[-1].details["gates"][1]["passed"] is False


def test_rollback_gives_the_alias_back_step_by_step(tracker, ledger, versions):
    for version in versions:
        go(tracker, ledger, version)
    name = versions[0].name
    assert rollback(tracker, ledger, name, who="me", reason="halos").version == 2
    assert rollback(tracker, ledger, name, who="me", reason="halos").version == 1
    with pytest.raises(RegistryError, match="first champion"):
        rollback(tracker, ledger, name, who="me", reason="halos")
    assert champion(tracker, versions) == 1
    assert ledger.entries()[-1].reason == "halos"


def test_without_a_champion_there_is_nothing_to_roll_back(tracker, ledger, versions):
    with pytest.raises(RegistryError, match=r"no .*@champion"):
        rollback(tracker, ledger, versions[0].name, who="me", reason="x")


def test_a_promotion_killed_before_its_entry_is_recorded_by_the_next_try(tracker, ledger, versions):
    go(tracker, ledger, versions[0])
    tracker.set_alias(versions[1].name, "champion", 2)
    go(tracker, ledger, versions[1])
    assert story(ledger) == [("promoted", 1, None), ("promoted", 2, 1)]
    assert rollback(tracker, ledger, versions[0].name, who="me", reason="x").version == 1
