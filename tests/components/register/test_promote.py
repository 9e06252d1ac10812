import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from components.backends.state import Ledger
from components.errors import GateError, RegistryError
from components.records import GateResult
from components.register.promote import promote, resume, rollback, served

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


def go(tracker, ledger, version, gates=GOOD, kind="faithful"):
    return promote(tracker, ledger, version, lambda champion: gates, who="me", kind=kind, serves="faithful")


def back(tracker, ledger, name, reason, kind="faithful"):
    return rollback(tracker, ledger, name, who="me", reason=reason, kind=kind, serves="faithful")


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
    assert back(tracker, ledger, name, "halos").version == 2
    assert back(tracker, ledger, name, "halos").version == 1
    with pytest.raises(RegistryError, match="first champion"):
        back(tracker, ledger, name, "halos")
    assert champion(tracker, versions) == 1
    assert ledger.entries()[-1].reason == "halos"


def test_without_a_champion_there_is_nothing_to_roll_back(tracker, ledger, versions):
    with pytest.raises(RegistryError, match=r"no .*@champion"):
        back(tracker, ledger, versions[0].name, "x")


def test_a_perceptual_champion_stands_beside_the_faithful_one(tracker, ledger, versions):
    go(tracker, ledger, versions[0])
    made = go(tracker, ledger, versions[1], kind="perceptual")
    assert made.alias == "champion-perceptual"
    assert champion(tracker, versions) == 1
    assert tracker.by_alias(versions[0].name, "champion-faithful").version == 1
    go(tracker, ledger, versions[2], kind="perceptual")
    assert back(tracker, ledger, versions[0].name, "x", kind="perceptual").version == 2
    assert served(ledger, versions[0].name) == {"champion": 1, "champion-faithful": 1, "champion-perceptual": 2}


def test_gates_see_the_champion_of_their_kind(tracker, ledger, versions):
    seen = []

    def judge(found):
        seen.append(found and found.version)
        return GOOD

    for version, kind in zip(versions, ("faithful", "perceptual", "faithful"), strict=True):
        promote(tracker, ledger, version, judge, who="me", kind=kind, serves="faithful")
    assert seen == [None, None, 1]


def test_a_champion_of_the_time_before_kinds_is_compared_with_and_can_be_gone_back_to(tracker, ledger, versions):
    name, seen = versions[0].name, []
    tracker.set_alias(name, "champion", 1)
    ledger.append("promoted", who="me", model=name, version=1, previous_version=None, details={}, reason="old")

    def judge(found):
        seen.append(found and found.version)
        return GOOD

    promote(tracker, ledger, versions[1], judge, who="me", kind="faithful", serves="faithful")
    assert seen == [1]
    assert back(tracker, ledger, name, "x").version == 1


def test_a_champion_that_begins_to_serve_can_still_be_rolled_back(tracker, ledger, versions):
    name = versions[0].name
    for version in versions[:2]:
        go(tracker, ledger, version, kind="perceptual")
    assert champion(tracker, versions) is None
    made = promote(tracker, ledger, versions[1], lambda found: GOOD, who="me", kind="perceptual", serves="perceptual")
    assert (made.alias, champion(tracker, versions)) == ("champion", 2)
    assert rollback(tracker, ledger, name, who="me", reason="x", kind="perceptual", serves="perceptual").version == 1


def test_an_override_is_in_the_ledger(tracker, ledger, versions):
    gates = (*GOOD, BAD[-1].model_copy(update={"overridden": "Ann: read them"}))
    go(tracker, ledger, versions[0], gates)
    assert ledger.entries()[-1].reason == "licences let pass by Ann: read them"
    assert ledger.entries()[-1].details["gates"][-1]["overridden"] == "Ann: read them"


KILLED = """
import os, sys
from components.backends.state import Ledger
from components.backends.tracking import Tracker
from components.register import promote as module
from tests.components.register.test_promote import GOOD
uri, root, url, name, number, where = sys.argv[1:]
tracker, ledger = Tracker(uri, artifact_root=__import__("pathlib").Path(root), experiment="lucidflux"), Ledger(url)
set_alias = tracker.set_alias
def dying(*given):
    if where == "before alias": os.kill(os.getpid(), 9)
    set_alias(*given)
    if where == "between aliases": os.kill(os.getpid(), 9)
tracker.set_alias = dying
if where == "before entry":
    ledger.commit = lambda intent: os.kill(os.getpid(), 9)
version = tracker.resolve(f"{name}/{number}")
module.promote(tracker, ledger, version, lambda champion: GOOD, who="killed", kind="faithful", serves="faithful")
"""


@pytest.mark.parametrize("where", ["before alias", "between aliases", "before entry"])
@pytest.mark.parametrize("then", ["resume", "promote"])
def test_what_a_killed_promotion_began_is_finished_by_the_next_one(tracker, ledger, versions, tmp_path, where, then):
    go(tracker, ledger, versions[0])
    name, url = versions[0].name, f"sqlite:///{tmp_path / 'state.db'}"
    given = [tracker.uri, str(tracker.artifact_root), url, name, "2", where]
    done = subprocess.run([sys.executable, "-c", KILLED, *given], check=False, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    if then == "resume":
        assert resume(tracker, ledger, name).who == "killed"
        assert resume(tracker, ledger, name) is None
        assert story(ledger) == [("promoted", 1, None), ("promoted", 2, 1)]
    else:
        go(tracker, ledger, versions[2])
        assert story(ledger) == [("promoted", 1, None), ("promoted", 2, 1), ("promoted", 3, 2)]
    last = ledger.entries()[-1].version
    assert tracker.by_alias(name, "champion-faithful").version == champion(tracker, versions) == last
    assert served(ledger, name) == {"champion": last, "champion-faithful": last}
    ledger.verify()


@pytest.mark.e2e
def test_promotions_in_a_race_end_in_one_champion_that_both_books_name(tracker, ledger, versions):
    name = versions[0].name
    for number in range(20):
        pair = (versions[number % 3], versions[(number + 1) % 3])
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda version: go(tracker, Ledger(ledger.url), version), pair))
        meant = served(ledger, name)
        assert meant["champion"] == champion(tracker, versions) == tracker.by_alias(name, "champion-faithful").version
        story_of_it = [entry for entry in ledger.entries() if entry.action == "promoted"]
        assert all(after.previous_version == before.version for before, after in itertools.pairwise(story_of_it))
    ledger.verify()
