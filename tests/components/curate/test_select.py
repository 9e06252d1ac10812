import pytest

from components.backends.storage import LocalStorage
from components.backends.tables import Tables
from components.curate.select import funnel, held_out, kept_of_ranked, passed, select
from components.curate.settings import CurateSettings

SETTINGS = CurateSettings(keep_share=0.5, held_out_share=0.5)


def row(name, **changes):
    values = {
        "id": name,
        "origin": f"o/{name}",
        "scene": f"scene-{name}",
        "width_px": 240,
        "height_px": 240,
        "blur": 500.0,
        "flat_share": 0.0,
        "quality": 1.0,
        "trusted": False,
        "verdict": "kept",
        "reason": "",
        "related": "",
    }
    return values | changes


@pytest.fixture
def tables(tmp_path):
    with Tables(LocalStorage(tmp_path)) as opened:
        yield opened


def judge(tables, rows, settings=SETTINGS, *, higher_is_better=True, leaks=()):
    tables.table("given", "images", rows)
    tables.table("leaks", "leaks", [{"id": name, "benchmark": "set5", "benchmark_id": "b1"} for name in leaks])
    tables.run(
        "create view scored as select given.*, benchmark || '/' || benchmark_id as leak from given left join leaks using (id)"
    )
    select(tables, settings, higher_is_better=higher_is_better)
    return {found["id"]: found for found in tables.rows("select * from judged")}


def reasons(judged):
    return {name: found["reason"] for name, found in judged.items()}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"blur": 150.0}, ""),
        ({"blur": 149.999}, "blurred"),
        ({"blur": 8000.0}, ""),
        ({"blur": 8000.001}, "noisy"),
        ({"flat_share": 0.5}, ""),
        ({"flat_share": 0.51}, "flat"),
        ({"width_px": 239, "blur": 1.0, "flat_share": None}, "too_small"),
    ],
)
def test_a_score_at_its_limit_passes(tables, changes, reason):
    judged = judge(tables, [row("a", **changes)], CurateSettings(keep_share=1.0))
    assert judged["a"]["reason"] == reason
    passed(tables, SETTINGS)
    assert tables.one("select count(*) as n from passed")["n"] == (reason == "")


def test_the_share_is_rounded_up_and_the_best_stay(tables):
    rows = [row(name, quality=quality) for name, quality in zip("abcde", [5, 3, 4, 1, 2], strict=True)]
    judged = judge(tables, rows, higher_is_better=False)
    assert reasons(judged) == {"a": "quality_rank", "b": "", "c": "quality_rank", "d": "", "e": ""}


@pytest.mark.parametrize(
    ("ranked", "share", "kept"), [(5, 0.2, 1), (6, 0.2, 2), (10, 0.3, 3), (0, 0.2, 0), (1_280_000, 0.2, 256_000)]
)
def test_the_kept_are_exactly_the_share_rounded_up(ranked, share, kept):
    assert kept_of_ranked(ranked, share) == kept


def test_a_picture_without_a_quality_is_rejected_by_that_name(tables):
    assert reasons(judge(tables, [row("a", quality=None), row("b")])) == {"a": "no_quality", "b": ""}


def test_equal_quality_is_cut_by_id(tables):
    judged = judge(tables, [row(name) for name in "dcba"])
    assert sorted(name for name, found in judged.items() if found["verdict"] == "kept") == ["a", "b"]


def test_no_row_is_added_or_lost_and_a_failed_one_keeps_its_reason(tables):
    rows = [row("a"), row("b", blur=1.0), row("c", verdict="failed", reason="truncated", blur=None), row("d")]
    judged = judge(tables, rows)
    assert reasons(judged) == {"a": "", "b": "blurred", "c": "truncated", "d": "quality_rank"}
    assert funnel(tables) == {"failed:truncated": 1, "kept": 1, "rejected:blurred": 1, "rejected:quality_rank": 1}


def test_of_a_group_the_best_ranked_stays_and_the_others_name_it(tables):
    rows = [row("a", quality=1.0, group="a"), row("b", quality=9.0, group="a"), row("c", quality=5.0)]
    judged = judge(tables, rows, CurateSettings(keep_share=1.0))
    assert reasons(judged) == {"a": "near_duplicate", "b": "", "c": ""}
    assert [judged[name]["related"] for name in "abc"] == ["o/b", "", ""]


def test_a_rejected_member_does_not_stand_for_its_group(tables):
    rows = [row("a", quality=9.0, group="a", blur=1.0), row("b", quality=1.0, group="a")]
    assert reasons(judge(tables, rows, CurateSettings(keep_share=1.0))) == {"a": "blurred", "b": ""}


def test_copies_do_not_count_when_the_share_is_taken(tables):
    rows = [row(name, quality=1.0, group="g") for name in "abcd"] + [row("x", quality=0.5), row("y", quality=0.1)]
    judged = judge(tables, rows, CurateSettings(keep_share=0.34))
    assert [name for name, found in sorted(judged.items()) if found["verdict"] == "kept"] == ["a", "x"]


def test_a_trusted_picture_is_not_ranked_but_filtered_and_stands_for_its_group(tables):
    rows = [
        row("a", trusted=True, quality=None, group="g"),
        row("b", quality=9.0, group="g"),
        row("c", trusted=True, quality=None, blur=1.0),
        row("d", quality=0.0),
    ]
    judged = judge(tables, rows)
    assert reasons(judged) == {"a": "", "b": "near_duplicate", "c": "blurred", "d": ""}
    passed(tables, SETTINGS)
    assert {found["id"] for found in tables.rows("select id from passed")} == {"b", "d"}


def test_a_leak_is_a_leak_whatever_else_it_is(tables):
    judged = judge(tables, [row("a", blur=1.0), row("b", trusted=True), row("c")], leaks="ab")
    assert reasons(judged) == {"a": "leak", "b": "leak", "c": ""}
    assert judged["a"]["related"] == "set5/b1"


def test_scenes_stand_on_one_side_and_both_sides_have_some(tables):
    judged = judge(tables, [row(f"{scene}{copy}", scene=scene) for scene in "abcdefghij" for copy in "12"])
    sides = {(found["scene"], found["split"]) for found in judged.values()}
    assert len(sides) == 10
    assert sorted(side for _, side in sides) == ["test"] * 5 + ["train"] * 5


@pytest.mark.parametrize(("scenes", "share", "held"), [(10, 0.05, 1), (1, 0.5, 0), (2, 0.9, 1), (100, 0.34, 34)])
def test_each_side_has_a_scene_when_there_are_two(scenes, share, held):
    assert held_out(scenes, share) == held


def test_the_side_of_a_scene_depends_on_its_name_not_on_its_place(tables, tmp_path):
    names = [f"s{index}" for index in range(9)]
    first = judge(tables, [row(name) for name in names])
    with Tables(LocalStorage(tmp_path)) as again:
        second = judge(again, [row(name) for name in reversed(names)])
    assert {name: found["split"] for name, found in first.items()} == {name: found["split"] for name, found in second.items()}
