import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser

import pytest

from components.backends import contracts
from components.backends.contracts.rules import Rows, Sets
from components.backends.storage import LocalStorage
from components.backends.tables import Tables
from components.errors import ContractError, SettingsError, UnknownName
from tests.components.backends.contract_rows import LIMITS, image, lost, named, pair, rejected


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    with Tables(LocalStorage(tmp_path_factory.mktemp("objects"))) as session:
        yield session


def checked(tables, suite, rows, *, before=(), **options):
    tables.table("rows", contracts.load(suite).kind, rows)
    if before:
        tables.table("before", "images", before)
    parameters = {"rows": len(rows)} | options.pop("parameters", {})
    return contracts.check(suite, tables, "rows", parameters=parameters, reference="before" if before else None, **options)


def after(tables, rows, *, kept=None, **options):
    ranked = sum(row["verdict"] == "kept" for row in rows) if kept is None else kept
    parameters = {"kept_ranked": ranked, **LIMITS} | options.pop("parameters", {})
    return checked(tables, "curate_after", rows, parameters=parameters, **options)


def keys(sentences):
    return [sentence.partition(":")[0] for sentence in sentences]


def test_good_rows_pass_every_expectation_that_can_be_evaluated(tables):
    rows = [image(1), image(2), lost(3), rejected(4, "duplicate_bytes", id=image(1)["id"], related="photos/1.jpg")]
    found = checked(tables, "ingest", rows)
    assert (found.passed, found.failed, found.warned) == (True, (), ())
    assert keys(found.skipped) == ["share_of_failed"]
    assert found.evaluated == len(contracts.load("ingest").says) - 1
    assert found.statistics["rows"] == len(rows)


def test_the_sentences_of_broken_rules_come_from_great_expectations_and_name_the_rows(tables):
    broken = {
        "verdict_missing": image(2, verdict=None),
        "shard_missing": image(3, shard=""),
        "id_malformed": image(4, id="short"),
        "origin_repeated": image(5, origin="photos/1.jpg"),
    }
    found = checked(tables, "ingest", [image(1), *broken.values(), lost(50)])
    assert not found.passed
    assert sorted(keys(found.failed)) == sorted(broken)
    for sentence in found.failed:
        key = sentence.partition(":")[0]
        assert contracts.load("ingest").says[key] in sentence
        assert named(broken[key]) in sentence
        assert f"not so in {2 if key == 'origin_repeated' else 1} of 6 rows" in sentence
        assert named(lost(50)) not in sentence


def test_a_lost_row_breaks_the_count(tables):
    found = checked(tables, "ingest", [image(1)], parameters={"rows": 2})
    assert found.failed == ("rows: as many rows come out as went in: expected 2, found 1",)


def test_counts_are_written_in_full(tables):
    found = checked(tables, "ingest", [image(1)], parameters={"rows": 12_345_678})
    assert "expected 12345678, found 1" in found.failed[0]


def test_at_most_five_rows_are_named(tables):
    found = checked(tables, "ingest", [image(n, length=0, bytes=0) for n in range(9)])
    assert "9 of 9 rows" in found.failed[0]
    assert found.failed[0].count("photos/") == contracts.ROWS_NAMED


def test_a_missing_column_is_named_alone(tables):
    tables.table("rows", "images", [image(1)])
    tables.run("create view short as select * exclude (licence, trusted) from rows")
    found = contracts.check("ingest", tables, "short", parameters={"rows": 1})
    assert found.failed == ("columns: every column is there: missing are licence, trusted",)
    assert not found.passed


def test_every_decodable_row_needs_scores_before_curation(tables):
    good = [image(1, quality=None), image(2, width_px=100, flat_share=None), lost(3)]
    found = checked(tables, "curate_before", [*good, image(4, blur=float("nan")), image(5, flat_share=None)])
    assert keys(found.failed) == ["blur_missing", "flat_share_missing"]


def test_the_number_of_kept_rows_must_be_the_asked_share_of_the_ranked(tables):
    rows = [image(1), image(2), image(3, trusted=True, quality=None), rejected(4, "quality_rank")]
    assert after(tables, rows, kept=2).passed
    sentence = "kept_ranked: the asked share of the ranked rows is kept, rows of trusted sources apart: expected 1, found 2"
    assert after(tables, rows, kept=1).failed == (sentence,)
    assert keys(after(tables, [], kept=1).failed) == ["kept_ranked"]


SMALL = {"share_rows_minimum": 4, "drift_rows_minimum": 4}


def test_the_share_of_a_reason_is_a_warning_first_and_then_a_failure(tables):
    rows = [image(n) for n in range(2)] + [rejected(n, "flat") for n in range(2, 10)]
    found = after(tables, rows, parameters=SMALL | {"reason_share_warning": 0.8, "reason_share_maximum": 0.8})
    assert (found.failed, found.warned) == ((), ())
    found = after(tables, rows, parameters=SMALL | {"reason_share_warning": 0.79})
    assert found.passed
    assert keys(found.warned) == ["share_of_flat"]
    found = after(tables, rows, parameters=SMALL | {"reason_share_warning": 0.79, "reason_share_maximum": 0.79})
    assert (keys(found.failed), found.warned) == (["share_of_flat"], ())
    assert "expected at most 0.79, found 0.8, among them 000000000000 (photos/2.jpg)" in found.failed[0]


def test_a_score_that_moved_since_the_version_before_fails(tables):
    before = [image(n, blur=float(100 + n)) for n in range(100)]
    assert after(tables, before, before=before, parameters=SMALL).passed
    found = after(tables, [row | {"blur": 190.0} for row in before], before=before, parameters=SMALL)
    assert keys(found.failed) == ["blur_drift"]
    assert found.statistics["blur_drift"] > 0.25
    assert found.statistics["quality_drift"] == 0


def test_without_a_version_before_or_with_few_rows_drift_is_not_evaluated_and_said_so(tables):
    drifts = {"blur_drift", "flat_share_drift", "quality_drift"}
    alone = after(tables, [image(1)])
    assert drifts <= set(keys(alone.skipped))
    assert any("there is no version before" in sentence for sentence in alone.skipped)
    few = after(tables, [image(1)], before=[image(1)])
    assert any("only 1 rows of one version have blur, 1000 are needed" in sentence for sentence in few.skipped)
    assert not drifts & set(few.statistics)


def test_an_override_lets_a_broken_rule_pass_and_is_recorded(tables):
    rows = [image(1), image(2, licence="", url="x")]
    found = checked(tables, "ingest", rows, overrides={"licence_missing": "Ada Lovelace:  own\n photos"})
    assert found.passed
    assert found.failed == ()
    broken = f"licence_missing: every row has licence: not so in 1 of 2 rows, among them {named(rows[1])}"
    assert found.overridden == (f"{broken} (let pass by Ada Lovelace: own photos)",)
    assert contracts.require(found) is found


def test_an_override_of_one_rule_leaves_the_others_broken(tables):
    found = checked(tables, "ingest", [image(1, licence="", source="")], overrides={"licence_missing": "Ada: own photos"})
    assert not found.passed
    assert (keys(found.failed), keys(found.overridden)) == (["source_missing"], ["licence_missing"])


def test_an_override_that_was_not_needed_is_reported(tables):
    allowed = {"licence_missing": "Ada: own photos", "blur_outside": "Ada: paintings"}
    found = checked(tables, "curate_before", [image(1)], overrides=allowed)
    assert found.passed
    assert found.warned == ("licence_missing: the override was not needed (Ada: own photos)",)


@pytest.mark.parametrize("text", ["because", "Ada:", ": a reason", "Ada: ", "12: 34", ""])
def test_an_override_needs_a_name_and_a_reason(tables, text):
    with pytest.raises(SettingsError, match=r'ingest\.overrides\.rows="NAME: reason"'):
        checked(tables, "ingest", [image(1)], overrides={"rows": text})


def test_an_override_of_no_rule_gets_a_suggestion(tables):
    with pytest.raises(SettingsError, match="Did you mean 'licence_missing'"):
        checked(tables, "ingest", [image(1)], overrides={"license_missing": "Ada: own photos"})
    with pytest.raises(SettingsError, match="no rule 'blur_missing'"):
        checked(tables, "ingest", [image(1)], overrides={"blur_missing": "Ada: own photos"})


def test_pairs_are_pictures_times_epochs(tables):
    tables.table("rows", "pairs", [pair(number, epoch) for number in (1, 2) for epoch in (0, 1)])
    assert contracts.check("pairs", tables, "rows", parameters={"images": 2, "epochs": 2, "pixels": 0}).passed
    found = contracts.check("pairs", tables, "rows", parameters={"images": 3, "epochs": 2, "pixels": 0})
    assert found.failed == ("pairs: every picture has one pair per epoch: expected 6, found 4",)


def test_a_broken_pair_is_named_by_its_id(tables):
    tables.table("rows", "pairs", [pair(1, 0), pair(2, 0, split="test")])
    found = contracts.check("pairs", tables, "rows", parameters={"images": 2, "epochs": 1, "pixels": 0})
    assert found.failed == (f"split_not_train: every pair is on the train side: not so in 1 of 2 rows, among them {'0' * 12}",)


def test_require_raises_with_every_broken_rule_and_how_to_override_it(tables):
    found = checked(tables, "ingest", [image(1, shard=""), image(2, length=0, bytes=0)])
    with pytest.raises(ContractError, match=r"2 of 26 .*shard_missing: .*length_not_positive: ") as raised:
        contracts.require(found)
    for key in ("shard_missing", "length_not_positive"):
        assert f'--set ingest.overrides.{key}="NAME: reason"' in str(raised.value)
    good = checked(tables, "ingest", [image(1)])
    assert contracts.require(good) is good


def test_a_wrong_suite_gets_a_suggestion(tables):
    with pytest.raises(UnknownName, match="Did you mean 'ingest'"):
        contracts.check("ingset", tables, "rows", parameters={})


def test_a_missing_or_an_unknown_parameter_is_named(tables):
    with pytest.raises(SettingsError, match="missing: epochs"):
        contracts.check("pairs", tables, "rows", parameters={"images": 1, "pixels": 0})
    with pytest.raises(SettingsError, match="Did you mean 'drift_maximum'"):
        after(tables, [image(1)], parameters={"drift_maximun": 0.2})


class Loaded(HTMLParser):
    """Gathers what a browser would fetch."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attrs):
        self.addresses += [f"{tag} {name}={value}" for name, value in attrs if name in {"src", "srcset", "data", "poster"}]
        self.addresses += [f"{tag} {name}={value}" for name, value in attrs if name == "href" and tag != "a"]
        self.addresses += [tag] if tag in {"script", "iframe", "object", "embed"} else []


def test_the_page_tells_the_outcome_and_loads_nothing_from_elsewhere(tables, tmp_path):
    rows = [image(1), image(2, origin="photos/<b>&.jpg", licence=""), image(3, source="")]
    found = checked(tables, "ingest", rows, overrides={"source_missing": "Ada: own photos"}, docs=tmp_path / "docs")
    page = (tmp_path / "docs" / "ingest.html").read_text()
    assert tables.store.read(found.docs).decode() == page
    assert "photos/&lt;b&gt;&amp;.jpg" in page
    assert "let pass by Ada: own photos" in page
    assert "share_of_failed: not too large a share" in page
    reader = Loaded()
    reader.feed(page)
    assert reader.addresses == []
    assert not re.search(r"url\(|@import|https?://|href=\"\.\.", page)
    for key, sentence in contracts.load("ingest").says.items():
        assert key == "share_of_failed" or (key in page and sentence in page)


def test_the_page_of_the_same_outcome_has_the_same_key(tables, tmp_path):
    first, again = (checked(tables, "ingest", [image(n)], docs=tmp_path / "docs") for n in (1, 2))
    assert first.docs == again.docs
    assert checked(tables, "ingest", [image(1), image(2)], docs=tmp_path / "docs").docs != first.docs
    assert checked(tables, "ingest", [image(1)]).docs == ""


def test_nothing_is_printed_logged_or_written_elsewhere(tables, tmp_path, capfd, caplog, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "here"))
    checked(tables, "ingest", [image(1), image(2, licence="")], docs=tmp_path / "docs")
    assert capfd.readouterr() == ("", "")
    assert [record.getMessage() for record in caplog.records if record.levelname in {"WARNING", "ERROR"}] == []
    assert list((tmp_path / "here").iterdir()) == []
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["ingest.html"]


def test_great_expectations_is_imported_by_a_check_only():
    code = "import sys; from components.backends import contracts; sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_checks_in_threads_do_not_mix(tmp_path):
    def failed(missing):
        with Tables(LocalStorage(tmp_path)) as session:
            return checked(session, "ingest", [image(1, **{missing: ""})]).failed

    columns = ["source", "licence", "shard", "scene"]
    with ThreadPoolExecutor(len(columns)) as pool:
        found = list(pool.map(failed, columns))
    assert [keys(sentences) for sentences in found] == [[f"{name}_missing"] for name in columns]


def test_a_suite_file_is_great_expectations_own_json():
    import great_expectations as gx

    for path in contracts.SUITES.values():
        for file in (path, path.with_name("images.json")):
            content = json.loads(file.read_text())
            assert len(gx.ExpectationSuite(**content).expectations) == len(content["expectations"])


def test_every_count_that_is_not_zero_breaks_its_rule(tables):
    """Great Expectations sees each column of the statistics, not only those that the tests above break."""
    from components.backends.contracts.validation import validate

    for name in contracts.SUITES:
        suite = contracts.load(name)
        counts = {key: 1.0 for key, one in suite.statistics.items() if isinstance(one, Rows | Sets)}
        asked = [one for one in suite.expectations if one["kwargs"]["column"] in counts]
        results, _ = validate(name, asked, counts, {})
        assert [one.key for one in results if not one.passed] == list(counts)
        assert all(not one.warning for one in results)
