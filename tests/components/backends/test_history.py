import os

import pytest

from components.backends import catalog, differences, history, manifest, provenance
from components.backends.storage import LocalStorage
from components.backends.tables import Tables
from components.errors import ManifestError
from components.records import DatasetVersion, content_hash
from tests import records
from tests.datasets import REJECTED, curated, image, ingested, paired, sha, trained


@pytest.fixture
def store(tmp_path):
    return LocalStorage(tmp_path / "objects")


def compared(store, old, new, examples=3):
    with Tables(store) as tables:
        return differences.compare(tables, old.manifest, new.manifest, examples=examples)


def test_settings_are_found_by_the_hash_that_manifests_carry(store):
    digest = history.remember_settings(store, "curate-9", {"blur_minimum": 150.0}, {"crop": 3})
    assert digest == content_hash("curate-9", {"blur_minimum": 150.0}, {"crop": 3})
    assert history.recall_settings(store, digest) == {"operator": "curate-9", "blur_minimum": 150.0, "crop": 3}
    assert history.recall_settings(store, "0" * 64) == {}


def test_settings_that_were_changed_in_the_store_are_refused(store):
    digest = history.remember_settings(store, "curate-9", {"blur_minimum": 150.0})
    store.put(f"settings/{digest}.jsonl", b'"curate-9"\n{"blur_minimum":1.0}')
    with pytest.raises(ManifestError, match="changed"):
        history.recall_settings(store, digest)


def test_entries_come_in_the_order_they_were_saved(tmp_path, store):
    version = ingested(tmp_path)
    curation = curated(tmp_path, version, REJECTED)
    os.utime(tmp_path / "objects" / "records" / "DatasetVersion" / f"{version.manifest.sha256}.json", (5, 5))
    os.utime(tmp_path / "objects" / "records" / "Curation" / f"{curation.manifest.sha256}.json", (4, 4))
    assert [entry.manifest for entry in history.entries(store)] == [curation.manifest, version.manifest]


def test_a_pinned_curation_is_one_entry_that_both_hashes_name(tmp_path, store):
    version = ingested(tmp_path)
    curation = curated(tmp_path, version, REJECTED)
    pinned = version.model_copy(update={"curated": curation.manifest, "dvc_md5": "f" * 32 + ".dir"})
    catalog.save(store, pinned)
    assert len(history.entries(store)) == 2
    assert history.find(store, "ffff") == history.find(store, curation.manifest.sha256[:12])
    assert history.find(store, version.manifest.sha256).curation is None
    assert catalog.find(store, DatasetVersion, version.manifest.sha256[:12]) == version


def test_an_unknown_short_or_shared_beginning_says_what_there_is(tmp_path, store):
    with pytest.raises(ManifestError, match="lucidflux ingest"):
        history.find(store, "abcdef")
    version = ingested(tmp_path)
    for name in ("zzzz", version.manifest.sha256[:3]):
        with pytest.raises(ManifestError, match=version.manifest.sha256[:12]):
            history.find(store, name)
    twin = version.manifest.model_copy(update={"sha256": version.manifest.sha256[:8] + "0" * 56})
    catalog.save(store, version.model_copy(update={"manifest": twin}))
    with pytest.raises(ManifestError, match="names 2 versions"):
        history.find(store, version.manifest.sha256[:6])
    assert history.find(store, "latest").manifest == twin


def test_every_kind_of_row_change_is_told_apart(tmp_path, store):
    old = ingested(tmp_path, ("a", "b", "c"))
    rows = [image("a"), image("b") | {"id": sha("x")}, image("c") | {"origin": "photos/new/c.png"}, image("d")]
    new = old.model_copy(update={"manifest": manifest.write(store, "images", rows)})
    found = compared(store, old, new)
    assert found.same == 1
    assert {change.kind: change.rows for change in found.rows} == {"added": 1, "removed": 1, "replaced": 1, "renamed": 1}
    examples = {change.kind: change.examples[0] for change in found.rows}
    assert (examples["renamed"].old_origin, examples["renamed"].new_origin) == ("photos/set/c.png", "photos/new/c.png")
    assert (examples["removed"].old_origin, examples["removed"].old_outcome) == ("photos/broken.jpg", "failed:truncated")
    assert examples["added"].new_origin == "photos/set/d.png"


def test_copies_with_one_id_are_renamed_one_for_one(tmp_path, store):
    def version(*origins):
        rows = [image("a") | {"origin": origin} for origin in origins]
        return ingested(tmp_path).model_copy(update={"manifest": manifest.write(store, "images", rows)})

    found = compared(store, version("p/1", "p/2", "p/3"), version("q/1", "q/2"))
    assert {change.kind: change.rows for change in found.rows} == {"renamed": 2, "removed": 1}


def test_verdicts_sides_and_scores_are_compared(tmp_path, store):
    version = ingested(tmp_path)
    old = curated(tmp_path, version, REJECTED)
    new = curated(
        tmp_path,
        version,
        REJECTED | {"b": {"blur": 93.1}, "e": {"quality": 30.0}, "f": {"blur": 310.0, "verdict": "rejected", "reason": "noisy"}},
        blur_minimum=90.0,
    )
    found = compared(store, old, new)
    assert [(change.kind, change.rows) for change in found.verdicts] == [
        ("kept -> rejected:noisy", 1),
        ("rejected:blurred -> kept", 1),
    ]
    example = found.verdicts[1].examples[0]
    assert (example.new_origin, example.old_scores["blur"], example.new_scores["quality"]) == ("photos/set/b.png", 93.1, 20.0)
    assert found.sides == {"test -> train": 1}
    scores = {change.score: change for change in found.scores}
    assert (scores["blur"].changed, scores["blur"].largest, scores["blur"].origin) == (1, 10.0, "photos/set/f.png")
    assert (scores["quality"].changed, scores["quality"].gained) == (0, 1)
    assert found.rows == ()


def test_examples_are_limited_and_counts_are_not(tmp_path, store):
    version = ingested(tmp_path)
    rejected = {name: {"verdict": "rejected", "reason": "flat"} for name in "abcde"}
    found = compared(store, version, curated(tmp_path, version, rejected), examples=2).verdicts[0]
    assert (found.rows, len(found.examples)) == (5, 2)
    none = compared(store, version, curated(tmp_path, version, rejected), examples=0).verdicts[0]
    assert (none.rows, none.examples) == (5, ())


@pytest.mark.parametrize(
    ("asked", "how"),
    [
        (sha("b"), "its id"),
        (sha("b")[:6], "the beginning of its id"),
        ("photos/set/b.png", "its origin"),
        ("set/b.png", "the end of its origin"),
        ("b.png", "the end of its origin"),
        ("https://example.org/b.png", "its address"),
    ],
)
def test_a_picture_is_found_by_any_of_its_names(tmp_path, store, asked, how):
    with Tables(store) as tables:
        tables.manifest("rows", ingested(tmp_path).manifest)
        assert [(row["id"], row["how"]) for row in provenance.matches(tables, asked)] == [(sha("b"), how)]
        assert provenance.matches(tables, asked + "!") == []


def test_an_empty_or_short_name_finds_nothing(tmp_path, store):
    with Tables(store) as tables:
        tables.manifest("rows", ingested(tmp_path).manifest)
        assert provenance.matches(tables, "") == []
        assert provenance.matches(tables, sha("b")[:5]) == []


def test_near_names_and_looks_are_offered(tmp_path, store):
    with Tables(store) as tables:
        tables.manifest("rows", ingested(tmp_path, ("sunset", "tree")).manifest)
        assert provenance.alike(tables, "sunsett.png")[0] == "photos/set/sunset.png"
        assert provenance.alike(tables, "zq") == []
        assert provenance.nearest(tables, "0f1e2d3c4b5a6979")[0] == ("photos/set/sunset.png", 1)
        assert provenance.nearest(tables, "f0e1d2c3b4a59687") == []


@pytest.mark.parametrize(
    ("higher", "places"), [(True, {"a": 5, "e": 2, "f": 3, "d": 1}), (False, {"a": 1, "e": 4, "f": 2, "d": 5})]
)
def test_the_place_counts_who_is_better_with_ties_by_id(tmp_path, store, higher, places):
    tied = {"f": {"quality": 20.0}, "b": {"quality": 20.0}}
    curation = curated(tmp_path, ingested(tmp_path), REJECTED | tied)
    if sha("b") < sha("f"):
        places = places | {"f": places["f"] + 1}
    with Tables(store) as tables:
        tables.manifest("rows", curation.manifest)
        rows = {row["origin"][-5]: row for row in tables.rows("select * from rows where verdict <> 'failed'")}
        found = {name: provenance.place(tables, rows[name], higher=higher) for name in "abcdef"}
        assert {name: found[name].place for name in "aefd"} == places
        assert found["c"] is None, "a copy is not ranked"
        assert (found["a"].ranked, found["a"].kept) == (5, 4)
        assert found["a"].cut == (10.0 if higher else 30.0)


def test_the_direction_is_seen_from_the_verdicts(tmp_path, store):
    version = ingested(tmp_path)
    with Tables(store) as tables:
        tables.manifest("rows", curated(tmp_path, version, REJECTED).manifest)
        assert provenance.higher_is_better(tables) is False
        tables.manifest(
            "rows",
            curated(
                tmp_path, version, REJECTED | {"d": {"verdict": "rejected", "reason": "quality_rank", "quality": 1.0}}
            ).manifest,
        )
        assert provenance.higher_is_better(tables) is True


def test_a_picture_is_followed_to_the_models_that_saw_it(tmp_path, store):
    curation = curated(tmp_path, ingested(tmp_path), REJECTED)
    trained(tmp_path, paired(tmp_path, curation, "a", "f"), "r7")
    other = curated(tmp_path, ingested(tmp_path), {})
    trained(tmp_path, paired(tmp_path, other, "a"), "r8", number=2)
    assert provenance.uses(store, curation.manifest.sha256, sha("a")) == provenance.Uses(
        pairs=2, runs=("r7",), models=("lucidflux/1",)
    )
    assert provenance.uses(store, other.manifest.sha256, sha("a")).runs == ("r8",)
    assert provenance.uses(store, curation.manifest.sha256, sha("e")) == provenance.Uses()


def test_a_held_out_picture_is_followed_to_the_checkpoints_judged_on_it(tmp_path, store):
    curation = curated(tmp_path, ingested(tmp_path), REJECTED)
    scores = [{"image_id": sha("e"), "benchmark": "heavy", "method": "lq", "metric": "psnr", "value": 1.0}]
    judged = manifest.write(store, "scores", scores, parent=curation.manifest.sha256)
    catalog.save(store, records.report(30.0).model_copy(update={"scores": judged}))
    assert provenance.uses(store, curation.manifest.sha256, sha("e")).evaluations == ("e" * 64,)
    assert provenance.uses(store, curation.manifest.sha256, sha("a")).evaluations == ()
