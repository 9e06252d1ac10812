import pytest

from components.curate.select import filter_reason, funnel, near_duplicates, select, split_scenes
from components.curate.settings import CurateSettings

SETTINGS = CurateSettings(keep_share=0.5, held_out_share=0.5)


def row(name, **changes):
    values = {
        "id": name,
        "scene": f"scene-{name}",
        "width_px": 240,
        "height_px": 240,
        "blur": 500.0,
        "flat_share": 0.0,
        "quality": 1.0,
        "phash": f"{sum(map(ord, name)) * 0x9E3779B97F4A7C15 % 2**64:016x}",
        "verdict": "kept",
        "reason": "",
    }
    return values | changes


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
def test_a_score_at_its_limit_passes(changes, reason):
    assert filter_reason(row("a", **changes), SETTINGS) == reason


def test_the_share_is_rounded_up_and_the_best_stay():
    rows = [row(name, quality=quality) for name, quality in zip("abcde", [5, 3, 4, 1, 2], strict=True)]
    judged = select(rows, SETTINGS, higher_is_better=False)
    assert [r["id"] for r in judged if r["verdict"] == "kept"] == ["b", "d", "e"]
    assert {r["reason"] for r in judged if r["verdict"] == "rejected"} == {"quality_rank"}


def test_a_picture_without_a_quality_is_rejected_by_that_name():
    judged = select([row("a", quality=None), row("b")], SETTINGS, higher_is_better=True)
    assert [r["reason"] for r in judged] == ["no_quality", ""]


def test_equal_quality_is_cut_by_id():
    rows = [row(name) for name in "dcba"]
    assert sorted(r["id"] for r in select(rows, SETTINGS, higher_is_better=True) if r["verdict"] == "kept") == ["a", "b"]


def test_no_row_is_added_lost_or_reordered():
    rows = [row("a"), row("b", blur=1.0), row("c", verdict="failed", reason="truncated"), row("d")]
    judged = select(rows, SETTINGS, higher_is_better=True)
    assert [r["id"] for r in judged] == ["a", "b", "c", "d"]
    assert judged[2]["reason"] == "truncated"
    assert sum(funnel(judged).values()) == 4


def test_of_near_duplicates_the_best_ranked_stays():
    same = "00000000ffffffff"
    rows = [row("a", quality=1.0, phash=same), row("b", quality=9.0, phash="00000000fffffffe"), row("c", quality=5.0)]
    judged = {r["id"]: r["reason"] for r in select(rows, CurateSettings(keep_share=1.0), higher_is_better=True)}
    assert judged == {"a": "near_duplicate", "b": "", "c": ""}


@pytest.mark.parametrize(
    ("other", "again"), [("0000000000000007", True), ("000000000000000f", False), ("0001000100010000", True)]
)
def test_the_distance_is_exact_across_words(other, again):
    rows = [row("a", phash="0" * 16), row("b", phash=other)]
    assert near_duplicates(rows, distance=3) == ({"b"} if again else set())


def test_scenes_stand_on_one_side_and_both_sides_have_some():
    sides = split_scenes([f"s{index}" for index in range(10)], CurateSettings(held_out_share=0.05))
    assert sorted(sides.values()).count("test") == 1
    assert split_scenes(["only"], SETTINGS) == {"only": "train"}


def test_the_side_of_a_scene_depends_on_its_name_not_on_its_place():
    names = [f"s{index}" for index in range(10)]
    assert split_scenes(names, SETTINGS) == split_scenes(reversed(names), SETTINGS)
