import pyarrow as pa
import pytest

from components.backends import contracts
from components.errors import ContractError, SettingsError, UnknownName

LIMITS = {"blur_minimum": 100.0, "blur_maximum": 8000.0, "flat_share_maximum": 0.5}


def image(number, **changes):
    return {
        "id": f"{number:064x}",
        "shard": "shards/a.tar",
        "offset": 512 * number,
        "length": 100,
        "origin": f"photos/{number}.jpg",
        "scene": f"scene{number}",
        "split": "train",
        "width_px": 300,
        "height_px": 260,
        "bytes": 100,
        "format": "jpeg",
        "source": "photos",
        "licence": "own",
        "phash": "0" * 16,
        "blur": 200.0,
        "flat_share": 0.1,
        "quality": 0.5,
        "verdict": "kept",
        "reason": "",
    } | changes


def lost(number, verdict="failed", **changes):
    """A row of a picture that could not be read."""
    empty = dict.fromkeys(["shard", "offset", "length", "width_px", "height_px", "format", "blur", "flat_share", "quality"])
    return image(number, **empty, verdict=verdict, **{"reason": "truncated", "id": "", **changes})


def pair(number, epoch, **changes):
    return {
        "id": f"{number:032x}{epoch:032x}",
        "hq_id": f"{number:064x}",
        "epoch": epoch,
        "seed": 0,
        "split": "train",
        "recipe": "{}",
        "shard": "shards/a.tar",
        "offset": 512,
        "length": 10,
    } | changes


def test_good_rows_pass_every_expectation():
    rows = [image(1), image(2), lost(3), image(4, id=image(1)["id"], verdict="rejected", reason="duplicate_bytes")]
    checked = contracts.check("ingest", rows, parameters={"rows": 4})
    assert checked.passed, checked.failed
    assert checked.evaluated == len(contracts.SUITES["ingest"])


def test_an_arrow_table_is_checked_like_rows():
    table = pa.Table.from_pylist([image(1), lost(2)])
    assert contracts.check("ingest", table, parameters={"rows": 2}).passed
    assert not contracts.check("ingest", table, parameters={"rows": 3}).passed


BROKEN = {
    "kept, rejected or failed": {"verdict": "perhaps", "reason": "x"},
    "every row has verdict": {"verdict": None, "reason": "x"},
    "every kept row has shard": {"shard": ""},
    "length of 1 or more": {"length": 0},
    "offset of 0 or more": {"offset": -1},
    "width_px of 1 or more": {"width_px": 0},
    "every kept id is there once": {"id": image(0)["id"]},
    "sha256": {"id": "short"},
    "no kept row has a reason": {"reason": "blurred"},
    "every row that is not kept has reason": {"verdict": "failed", "reason": ""},
    "every origin is there once": {"origin": "photos/0.jpg"},
    "every kept row has licence": {"licence": None},
}


def named(row):
    return f"{row['id'][:12]} ({row['origin']})"


def test_every_broken_row_is_named_by_the_rule_that_it_breaks():
    broken = {sentence: image(number, **changes) for number, (sentence, changes) in enumerate(BROKEN.items(), start=1)}
    rows = [image(0), *broken.values(), lost(50)]
    checked = contracts.check("ingest", rows, parameters={"rows": len(rows)})
    assert len(checked.failed) == len(broken)
    for sentence, row in broken.items():
        assert any(sentence in said and named(row) in said for said in checked.failed), sentence
    for said in checked.failed:
        assert named(lost(50)) not in said


def test_a_lost_row_breaks_the_count():
    checked = contracts.check("ingest", [image(1)], parameters={"rows": 2})
    assert checked.failed == ("as many rows come out as went in: expected 2, found 1",)


def test_at_most_five_rows_are_named():
    checked = contracts.check("ingest", [image(n, length=0) for n in range(9)], parameters={"rows": 9})
    assert "9 of 9 rows" in checked.failed[0]
    assert checked.failed[0].count("photos/") == contracts.ROWS_NAMED


def test_a_missing_column_is_named_alone():
    rows = [{name: value for name, value in image(1).items() if name != "licence"}]
    assert contracts.check("ingest", rows, parameters={"rows": 1}).failed == ("every column is there: missing are licence",)
    assert not contracts.check("ingest", [], parameters={"rows": 0}).passed


def test_every_decodable_row_needs_scores_before_curation():
    good = [image(1), image(2, width_px=100, flat_share=None), lost(3)]
    bad = {name: image(number, **{name: float("nan")}) for number, name in enumerate(("blur", "flat_share"), 4)}
    checked = contracts.check("curate_before", [*good, *bad.values()], parameters={"rows": 5})
    assert len(checked.failed) == len(bad)
    for name, row in bad.items():
        assert any(f"has {name}: not so in 1 of 5 rows" in said and named(row) in said for said in checked.failed)


def test_kept_rows_at_the_limits_pass_after_curation():
    rows = [image(1, blur=100.0), image(2, blur=8000.0, flat_share=0.5), image(3, verdict="rejected", reason="quality_rank")]
    assert contracts.check("curate_after", rows, parameters={"rows": 3, "kept": 2, **LIMITS}).failed == ()


OVER = {
    "as sharp as asked": {"blur": 8000.1},
    "textured as asked": {"flat_share": 0.51},
    "train or the test side": {"split": "both"},
    "every kept row has split": {"split": ""},
    "no scene is on both sides": {"scene": "scene0", "split": "test"},
}


def test_a_kept_row_that_selection_should_not_have_kept_is_named():
    broken = {sentence: image(number, **changes) for number, (sentence, changes) in enumerate(OVER.items(), start=1)}
    rows = [image(0), *broken.values(), image(9, blur=99.9)]
    checked = contracts.check("curate_after", rows, parameters={"rows": len(rows), "kept": len(rows), **LIMITS})
    for sentence, row in broken.items():
        assert any(sentence in said and named(row) in said for said in checked.failed), sentence
    assert any("as sharp as asked: not so in 2 of" in said for said in checked.failed)


def test_the_number_of_kept_rows_must_be_the_asked_share():
    rows = [image(1), image(2), image(3, verdict="rejected", reason="quality_rank")]
    checked = contracts.check("curate_after", rows, parameters={"rows": 3, "kept": 1, **LIMITS})
    assert checked.failed == ("the asked share of the ranked rows is kept: expected 1, found 2",)


def test_a_selection_that_keeps_nothing_is_told_by_the_count():
    rows = [image(1, verdict="rejected", reason="blurred")]
    assert contracts.check("curate_after", rows, parameters={"rows": 1, "kept": 0, **LIMITS}).passed
    assert not contracts.check("curate_after", rows, parameters={"rows": 1, "kept": 1, **LIMITS}).passed


def test_pairs_are_pictures_times_epochs():
    pairs = [pair(number, epoch) for number in (1, 2) for epoch in (0, 1)]
    assert contracts.check("pairs", pairs, parameters={"images": 2, "epochs": 2}).passed
    assert "expected 6, found 4" in contracts.check("pairs", pairs, parameters={"images": 3, "epochs": 2}).failed[0]


def test_a_broken_pair_is_named():
    broken = {
        "has recipe": pair(2, 0, recipe=""),
        "train side": pair(3, 0, split="test"),
        "every pair is there once": pair(4, 0, id=pair(1, 0)["id"]),
        "picture and epoch is there once": pair(5, 0, hq_id=pair(1, 0)["hq_id"]),
    }
    checked = contracts.check("pairs", [pair(1, 0), *broken.values()], parameters={"images": 5, "epochs": 1})
    assert len(checked.failed) == len(broken)
    for sentence, row in broken.items():
        assert any(sentence in said and row["id"][:12] in said for said in checked.failed), sentence


def test_require_raises_with_every_broken_rule():
    checked = contracts.check("ingest", [image(1, shard=""), image(2, length=0)], parameters={"rows": 2})
    with pytest.raises(ContractError, match=r"2 of .*shard.*length"):
        contracts.require(checked)
    good = contracts.check("ingest", [image(1)], parameters={"rows": 1})
    assert contracts.require(good) is good


def test_a_wrong_suite_gets_a_suggestion():
    with pytest.raises(UnknownName, match="Did you mean 'ingest'"):
        contracts.check("ingset", [], parameters={})


def test_a_missing_parameter_is_named():
    with pytest.raises(SettingsError, match="epochs"):
        contracts.check("pairs", [pair(1, 0)], parameters={"images": 1})


def test_nothing_is_printed_and_nothing_written(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    contracts.check("ingest", [image(1)], parameters={"rows": 1})
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
