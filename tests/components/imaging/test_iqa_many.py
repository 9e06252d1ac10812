"""Many pictures by many metrics: the same scores however they are made, kept, and rows with reasons for what is broken."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from components.errors import StorageError, UnknownName, WeightsError
from components.imaging import codec, iqa
from components.imaging.iqa import kept, many
from components.imaging.iqa.kept import Known

METRICS = ("psnr", "gmsd", "entropy", "piqe")


def picture(seed, side_px=48):
    return np.random.default_rng(seed).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)


@pytest.fixture
def items(tmp_path):
    """Five pictures beside their references."""
    made = []
    for number in range(5):
        item = iqa.Item(f"p{number}", tmp_path / f"{number}.jpg", tmp_path / f"{number}.png")
        item.picture.write_bytes(codec.encode_jpeg(picture(number), 40))
        item.reference.write_bytes(codec.encode_png(picture(number)))
        made.append(item)
    return made


@pytest.fixture
def jobs(monkeypatch):
    """What is scored; it happens in this process, which saves the start of others."""
    seen = []

    def mapped(function, given, **_options):
        seen.extend(given)
        return [function(job) for job in given]

    monkeypatch.setattr(many, "map_shards", mapped)
    return seen


def score(items, cache, metrics=METRICS, **options):
    return iqa.score_files(items, metrics, **{"weights": None, "cache": cache, "workers": 1} | options)


def image(path):
    return codec.decode(path.read_bytes()).image_u8


def test_rows_hold_the_scores_of_single_calls_in_the_order_of_pictures_and_metrics(items, tmp_path, jobs):
    rows = score(items, tmp_path / "cache")
    assert [(row["image_id"], row["metric"]) for row in rows] == [(item.id, name) for item in items for name in METRICS]
    lq, hq = [image(item.picture) for item in items], [image(item.reference) for item in items]
    for name in METRICS:
        expected = iqa.score(name, lq, hq if iqa.info(name).needs_reference else None)
        assert [row["value"] for row in rows if row["metric"] == name] == expected
    assert {row["input_format"] for row in rows} == {"jpeg"}
    assert rows[0]["operator"] == iqa.operator("psnr")


def test_a_second_run_reads_what_the_first_kept_and_scores_only_what_is_new(items, tmp_path, jobs):
    first = score(items[:3], tmp_path / "cache")
    assert len(jobs) == 3
    assert score(items[:3], tmp_path / "cache") == first
    assert len(jobs) == 3
    assert score(items, tmp_path / "cache", [*METRICS, "nlpd"])[: len(METRICS)] == first[: len(METRICS)]
    assert [[name for name, _ in job.operators] for job in jobs[3:]] == [["nlpd"]] * 3 + [[*METRICS, "nlpd"]] * 2


def test_the_same_bytes_under_another_name_are_known(items, tmp_path, jobs):
    first = score(items[:1], tmp_path / "cache")
    copy = iqa.Item("copy", tmp_path / "copy.jpg", items[0].reference)
    shutil.copyfile(items[0].picture, copy.picture)
    assert [row["value"] for row in score([copy], tmp_path / "cache")] == [row["value"] for row in first]
    assert len(jobs) == 1


@pytest.mark.parametrize(("changed", "anew"), [("picture", METRICS), ("reference", ("psnr", "gmsd"))])
def test_changed_bytes_are_scored_anew(items, tmp_path, jobs, changed, anew):
    score(items[:1], tmp_path / "cache")
    getattr(items[0], changed).write_bytes(codec.encode_png(picture(9)))
    rows = score(items[:1], tmp_path / "cache")
    assert [name for name, _ in jobs[-1].operators] == list(anew)
    assert [rows[0]["value"]] == iqa.score("psnr", [image(items[0].picture)], [image(items[0].reference)])


def test_another_variant_version_or_decoder_is_scored_anew(items, tmp_path, jobs, monkeypatch):
    score(items[:1], tmp_path / "cache", ["psnr"])
    for change in (
        lambda patch: patch.setitem(iqa.METRICS, "psnr", iqa.info("psnr").model_copy(update={"variant": "psnry"})),
        lambda patch: patch.setattr(iqa.identity, "versions", lambda: {"pyiqa": "9", "torch": "9", "device": "cpu"}),
        lambda patch: patch.setattr(many, "_decoder", lambda: ["another"]),
    ):
        before = len(jobs)
        with monkeypatch.context() as patch:
            change(patch)
            score(items[:1], tmp_path / "cache", ["psnr"])
        assert len(jobs) == before + 1
    score(items[:1], tmp_path / "cache", ["psnr"])
    assert len(jobs) == before + 1


def test_what_cannot_be_scored_has_a_reason_and_the_rest_its_scores(items, tmp_path, jobs):
    broken, small, wide, flat = (tmp_path / name for name in ("broken.png", "small.png", "wide.png", "flat.png"))
    broken.write_bytes(items[0].reference.read_bytes()[:-40])
    small.write_bytes(codec.encode_png(picture(1, 6)))
    wide.write_bytes(codec.encode_png(np.zeros((48, 50, 3), np.uint8)))
    flat.write_bytes(codec.encode_png(np.zeros((48, 48, 3), np.uint8)))
    hq = items[0].reference
    cases = [
        (iqa.Item("broken", broken, hq), ["truncated"] * 4),
        (iqa.Item("absent", tmp_path / "absent.png", hq), ["not_found"] * 4),
        (iqa.Item("small", small, small), ["", "too_small", "", "too_small"]),
        (iqa.Item("wide", wide, hq), ["other_size", "other_size", "", "says_nothing"]),
        (iqa.Item("flat", flat), ["no_reference", "no_reference", "", "says_nothing"]),
        (iqa.Item("bad reference", hq, broken), ["reference_truncated", "reference_truncated", "", ""]),
        (iqa.Item("lost reference", hq, tmp_path / "absent.png"), ["reference_not_found", "reference_not_found", "", ""]),
    ]
    rows = score([item for item, _ in cases], tmp_path / "cache")
    known = many.REASONS.keys() | codec.REASONS.keys()
    for number, (item, reasons) in enumerate(cases):
        own = rows[4 * number : 4 * number + 4]
        assert [row["reason"] for row in own] == reasons, item.id
        assert [math.isnan(row["value"]) for row in own] == [bool(reason) for reason in reasons], item.id
        assert {reason.removeprefix("reference_") for reason in reasons} <= known


def test_a_repaired_file_is_scored_in_the_next_run(items, tmp_path, jobs):
    whole = items[0].picture.read_bytes()
    items[0].picture.write_bytes(whole[: len(whole) // 2])
    assert score(items[:1], tmp_path / "cache")[0]["reason"] == "truncated"
    items[0].picture.write_bytes(whole)
    assert score(items[:1], tmp_path / "cache")[0]["reason"] == ""


def test_an_error_of_a_metric_costs_its_row_alone_and_is_tried_again(items, tmp_path, jobs, monkeypatch):
    def stop(*_):
        raise AssertionError("degenerate")

    with monkeypatch.context() as patch:
        patch.setattr(iqa.scoring.load("gmsd"), "network", stop)
        assert [row["reason"] for row in score(items[:1], tmp_path / "cache")] == ["", "metric_failed", "", ""]
    assert [row["reason"] for row in score(items[:1], tmp_path / "cache")] == [""] * 4


def test_unknown_metrics_and_absent_weights_are_refused_before_any_work(items, tmp_path, jobs):
    with pytest.raises(UnknownName, match="piqe"):
        score(items, tmp_path / "cache", ["piqee"])
    with pytest.raises(WeightsError, match="lucidflux weights"):
        score(items, tmp_path / "cache", ["psnr", "musiq"])
    assert jobs == []


def test_a_file_that_holds_no_scores_is_refused_and_left_alone(items, tmp_path):
    (tmp_path / "cache").write_bytes(b"x" * 4096)
    with pytest.raises(StorageError, match="may be deleted"):
        score(items, tmp_path / "cache")
    assert (tmp_path / "cache").read_bytes() == b"x" * 4096


WRITER = """
import sys
from pathlib import Path
from components.imaging.iqa import kept

with kept.opened(Path(sys.argv[1])) as scores:
    for number in range(10**6):
        scores.put({f"{sys.argv[2]}-{number}-{part}": kept.Known(number + part / 8, "") for part in range(8)})
        print(number, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 9])
def test_two_killed_writers_leave_all_that_they_had_finished_and_nothing_half(tmp_path, lines):
    cache = tmp_path / "cache"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, cache, who], stdout=subprocess.PIPE) for who in "ab"]
    for _ in range(lines):
        for writer in writers:
            assert writer.stdout.readline()
    for writer in writers:
        writer.kill()
    lasts = [int(([b"0", *writer.communicate()[0].split()])[-1]) for writer in writers]
    with kept.opened(cache) as scores:
        for who, last in zip("ab", lasts, strict=True):
            assert [scores.get(f"{who}-{last}-{part}") for part in range(8)] == [Known(last + part / 8, "") for part in range(8)]
            following = [scores.get(f"{who}-{last + 1}-{part}") for part in range(8)]
            assert following.count(None) in (0, 8)
        scores.put({"after": Known(math.nan, "too_small", "png")})
        assert scores.get("after")[1:] == ("too_small", "png")


@pytest.mark.e2e
def test_one_and_two_workers_give_the_same_bits_in_any_order(items, tmp_path):
    alone = score(items, tmp_path / "one")
    shared = score(items[::-1], tmp_path / "two", workers=2)
    assert sorted(map(str, alone)) == sorted(map(str, shared))
    assert [row["image_id"] for row in shared] == [item.id for item in items[::-1] for _ in METRICS]


RUN = """
import sys
from pathlib import Path
from components.imaging import iqa

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    items = [iqa.Item(f"p{n}", folder / f"{n}.jpg", folder / f"{n}.png") for n in range(5)]
    told = lambda phase, done, total: print(done, flush=True)
    iqa.score_files(items, sys.argv[2:], weights=None, cache=folder / "cache", workers=2, progress=told)
"""


@pytest.mark.e2e
def test_a_killed_run_goes_on_where_it_stopped(items, tmp_path):
    (tmp_path / "run.py").write_text(RUN)
    run = subprocess.Popen([sys.executable, tmp_path / "run.py", tmp_path, *METRICS], stdout=subprocess.PIPE)
    assert run.stdout.readline() == b"1\n"
    run.kill()
    run.communicate()
    left = []
    rows = score(items, tmp_path / "cache", progress=lambda phase, done, total: left.append(total))
    assert all(total < 5 for total in left)
    assert rows == score(items, tmp_path / "another")


def end_the_process(job):
    """What a want of memory does to a worker."""
    if job.item.id == "p0":
        os.kill(os.getpid(), signal.SIGKILL)
    return many.score_picture(job)


@pytest.mark.e2e
def test_a_picture_that_ends_its_process_costs_its_rows_alone(items, tmp_path, monkeypatch):
    real = many.map_shards
    monkeypatch.setattr(many, "map_shards", lambda _function, *given, **options: real(end_the_process, *given, **options))
    rows = score(items[:2], tmp_path / "cache", ["psnr"])
    assert [row["reason"] for row in rows] == ["worker_died", ""]
