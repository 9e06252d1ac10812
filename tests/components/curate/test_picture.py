from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from components.backends import manifest
from components.backends.pages.axes import Axis, covering
from components.backends.shards import write_shard
from components.backends.storage import LocalStorage
from components.backends.tables import Tables
from components.curate.picture import Metric, Subject, cutoffs, duplicates, embedding, facts, funnel, make_picture
from components.curate.picture.sheets import Reader
from components.curate.settings import CurateSettings
from components.imaging import codec
from components.records import quiet

SETTINGS = CurateSettings(keep_share=0.5)
METRIC = Metric("NAME", "NAME ranks here.", higher_is_better=True)


def pictures(store: LocalStorage, count: int) -> list[dict[str, Any]]:
    """Rows of stored pictures, smallest id first, that pass every filter."""
    generator = np.random.default_rng(0)
    coarse = [generator.integers(0, 255, (6, 8, 3), dtype=np.uint8) for _ in range(count)]
    members = [
        (f"{n:03d}.jpg", codec.encode_jpeg(np.kron(tile, np.ones((8, 8, 1), np.uint8)), 80)) for n, tile in enumerate(coarse)
    ]
    return [
        {
            "id": f"{n:064x}",
            "shard": place.shard,
            "offset": place.offset,
            "length": place.length,
            "origin": f"web/{n:03d}.jpg",
            "width_px": 640,
            "height_px": 480 + n,
            "blur": 1000.0,
            "flat_share": 0.25,
            "verdict": "kept",
            "reason": "",
        }
        for n, place in enumerate(write_shard(store, members))
    ]


def rows(store: LocalStorage) -> list[dict[str, Any]]:
    """Twelve ranked (six kept), one trusted, and one for each reason."""
    made = pictures(store, 23)
    for n, row in enumerate(made[:12]):
        row.update({"quality": float(n)} | ({} if n >= 6 else {"verdict": "rejected", "reason": "quality_rank"}))
    made[12] |= {"trusted": True}
    made[6] |= {"group": "g"}
    reasons: list[tuple[str, dict[str, Any]]] = [
        ("duplicate_bytes", {"related": "web/000.jpg"}),
        ("leak", {"related": "RealSR/abc"}),
        ("too_small", {"height_px": 100, "flat_share": None}),
        ("blurred", {"blur": 100.0}),
        ("noisy", {"blur": 9000.0}),
        ("flat", {"flat_share": 0.75}),
        ("no_quality", {}),
        ("near_duplicate", {"related": "web/006.jpg", "group": "g", "quality": 5.5}),
        ("near_duplicate", {"related": "web/006.jpg", "group": "g", "quality": 5.5}),
    ]
    for row, (reason, more) in zip(made[13:22], reasons, strict=True):
        row.update(more | {"verdict": "rejected", "reason": reason})
    blank = dict.fromkeys(("shard", "offset", "length", "width_px", "height_px", "blur", "flat_share"))
    made[22] |= blank | {"verdict": "failed", "reason": "truncated"}
    return made


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStorage:
    return LocalStorage(tmp_path_factory.mktemp("objects"))


@pytest.fixture(scope="module")
def subject(store: LocalStorage) -> Subject:
    curated = manifest.write(store, "images", rows(store))
    return Subject("A <dataset> & more", curated, SETTINGS, METRIC, links={"Data Docs": "../docs/index.html"})


@pytest.fixture(scope="module")
def html(store: LocalStorage, subject: Subject) -> str:
    return store.read(make_picture(subject, store=store)).decode()


@pytest.fixture
def tables(store: LocalStorage, subject: Subject):
    with Tables(store) as session:
        facts.open_views(session, subject)
        yield session


def reader(store: LocalStorage) -> Reader:
    return Reader(store, METRIC.name, quiet)


def test_the_funnel_names_every_row_once_in_the_order_of_the_rules(tables, subject):
    found = funnel.funnel(tables, subject)
    assert (found.listed, found.kept, found.trusted, found.ranked) == (23, 7, 1, 12)
    assert [(stage.name, stage.left) for stage in found.stages] == [
        ("Decoded", 22),
        ("New bytes", 21),
        ("Not in a benchmark", 20),
        ("Large enough", 19),
        ("Sharp", 17),
        ("Textured", 16),
        ("Has a quality", 15),
        ("Best of its group", 13),
        ("Top of the rank", 7),
    ]


def test_a_reason_that_the_page_does_not_know_gets_a_stage_of_its_own(store, subject):
    strange = [row | {"verdict": "rejected", "reason": "watermark"} for row in pictures(store, 2)]
    with Tables(store) as session:
        other = replace(subject, curated=manifest.write(store, "images", strange))
        facts.open_views(session, other)
        stages = funnel.funnel(session, other).stages
    assert [stage.removed for stage in stages if stage.name == "Other rules"] == [{"watermark": 2}]
    assert stages[-1].left == 0


def test_the_papers_funnel_stands_beside_the_stages_that_it_reports(tables, subject):
    steps = funnel.steps(funnel.funnel(tables, subject), subject.paper)
    beside = {step["name"]: step["paper"]["left"] for step in steps if step["paper"]}
    assert beside == {"Listed": "2.9M", "Textured": "1.28M", "Top of the rank": "257K", "Dataset": "342K"}


def test_a_bin_holds_its_upper_edge_as_a_maximum_does(tables):
    def bin_of(axis: Axis, value: float) -> int:
        return int(tables.one(f"select {axis.bin_of('x', 10)} as bin from (select {value}::double as x)")["bin"])

    assert [bin_of(facts.FLAT, value) for value in (0, 0.5, 0.501, 1)] == [0, 4, 5, 9]
    assert [bin_of(facts.BLUR, value) for value in (0, 1, 10, 10.01, 1e9)] == [0, 0, 1, 2, 9]


def test_an_axis_covers_its_values_with_round_ends():
    assert covering(0.213, 0.871) == Axis(0.2, pytest.approx(0.9))
    assert covering(3, 3).low < 3 < covering(3, 3).high


def test_a_histogram_separates_kept_from_what_this_score_rejected(tables):
    kept, here, other = facts.histogram(tables, "blur", facts.BLUR, 10, ("blurred", "noisy"))
    assert (sum(kept), sum(here), sum(other)) == (7, 2, 12)
    assert (here[3], here[7]) == (1, 1)  # 100 and 9000 of 1 to 100,000


def test_many_sizes_become_cells_and_few_stay_dots(tables, monkeypatch):
    dense, dots = facts.sizes(tables)
    assert (dense, sum(row["n"] for row in dots), sum(row["kept"] for row in dots)) == (False, 21, 7)
    monkeypatch.setattr(facts, "MOST_DOTS", 5)
    dense, cells = facts.sizes(tables)
    assert (dense, sum(row["n"] for row in cells), sum(row["kept"] for row in cells)) == (True, 21, 7)


def test_cuts_count_and_show_what_lies_on_both_sides(store, tables, subject):
    found = cutoffs.cutoffs(tables, reader(store), subject, trusted=1)
    assert [row[:3] for row in found.cuts] == [
        ["best 10 %", "2", "3"],
        ["best 20 %", "3", "4"],
        ["best 30 %", "4", "5"],
        ["best 50 %", "6", "7"],
    ]
    assert found.present == 3
    inside, outside = found.sheets[0]
    assert [thumb.origin for thumb in inside.thumbs] == ["web/010.jpg", "web/011.jpg"]
    assert [thumb.origin for thumb in outside.thumbs][:2] == ["web/009.jpg", "web/008.jpg"]
    low_in, low_out = found.sheets[4]
    assert low_in.title.startswith("Blur minimum 150")
    assert [thumb.caption for thumb in low_out.thumbs] == ["blur 100"]


def test_a_moved_limit_says_who_would_pass_and_who_has_no_score_yet(store, tables, subject):
    moved = {row[0]: row[1:] for row in cutoffs.cutoffs(tables, reader(store), subject, trusted=1).moved}
    assert moved["as set"][0] == "16"
    assert moved["blur minimum × 0.5 = 75"] == ["17", "89.5 %", "+ 1", "0", "1"]
    assert moved["flat share maximum − 0.2 = 0.3"][2] == "0"


def test_a_group_opens_with_the_picture_that_stands_for_it(store, tables):
    found = duplicates.duplicates(tables, reader(store))
    assert (found.groups, found.benchmarks, len(found.equal)) == (1, [("RealSR", 1)], 1)
    assert [(thumb.origin, thumb.mark) for thumb in found.shown[0].thumbs] == [
        ("web/006.jpg", "stays"),
        ("web/020.jpg", "aside"),
        ("web/021.jpg", "aside"),
    ]


def test_every_picture_of_the_map_has_a_place_of_its_own_near_where_it_belongs():
    points = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.5, 0.5]])
    placed = embedding.places(points, 5, 3)
    assert len(set(placed)) == 4
    assert placed[2:] == [(4, 2), (2, 1)]
    assert (0, 0) in placed[:2]


def test_the_layout_is_the_same_every_time_and_keeps_likes_together():
    generator = np.random.default_rng(1)
    features = np.concatenate([generator.normal(0, 0.1, (12, 6)), generator.normal(5, 0.1, (12, 6))])
    first, second = embedding.project(features), embedding.project(features)
    assert (first == second).all()
    assert np.linalg.norm(first[:12].mean(axis=0) - first[12:].mean(axis=0)) > 0.3


def test_a_page_asks_for_nothing_from_outside_and_hides_nothing_that_is_linked(html):
    addresses = set(re.findall(r'(?:src|href)="([^"]*)"', html))
    outside = {address for address in addresses if not address.startswith(("data:", "#"))}
    assert outside == {"../docs/index.html"}
    assert {address[1:] for address in addresses if address.startswith("#")} <= set(re.findall(r' id="([^"]*)"', html))
    assert "<script" not in html
    assert "url(" not in html


def test_a_page_escapes_names_and_describes_every_picture(html):
    assert "A &lt;dataset&gt; &amp; more" in html
    assert "<dataset>" not in html
    assert len(re.findall(r"<img ", html)) == len(re.findall(r'<img [^>]*alt="[^"]+', html)) > 20
    assert len(re.findall(r"<svg ", html)) == len(re.findall(r'<svg [^>]*(aria-label="[^"]+|aria-hidden)', html))


def test_the_same_manifest_gives_the_same_bytes_in_any_store(tmp_path, subject, html):
    other = LocalStorage(tmp_path)
    written = manifest.write(other, "images", reversed(rows(other)))
    assert written.sha256 == subject.curated.sha256
    assert other.read(make_picture(subject, store=other)).decode() == html


def test_a_dataset_without_a_kept_picture_still_has_its_page(store, subject):
    failed = [{"id": "", "origin": "a.jpg", "verdict": "failed", "reason": "empty_file"}]
    page = store.read(make_picture(replace(subject, curated=manifest.write(store, "images", failed)), store=store)).decode()
    assert "too few for a map" in page
    assert "empty_file" in page


def test_the_map_says_which_features_it_used(html):
    assert "shows looks, not meaning" in html
