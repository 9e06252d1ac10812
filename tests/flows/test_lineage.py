"""What `lucidflux lineage` says, step by step."""

from flows.ledger import Descent

FACTS = {
    "model": "lucidflux/3",
    "alias": "champion",
    "run_id": "r1",
    "git_revision": "g" * 40,
    "checkpoint": {"step": 400},
    "base": {"backbone.safetensors": "f" * 64},
    "evaluation": {
        "page": "evaluations/x/report.html",
        "scores_manifest": "5" * 64,
        "benchmarks": ["heavy"],
        "champion": "c" * 64,
    },
    "pairs_manifest": "9" * 64,
    "curated_manifest": "8" * 64,
    "dataset": "photos",
    "dataset_version": "d.dir",
    "manifest": "7" * 64,
    "outcomes_by_source": {"archive": {"kept": 2}, "": {"kept": 1, "rejected:flat": 4}},
    "training_sources": {"archive": 2, "": 1},
    "training_licences": {"CC0": 3},
    "training_images": ["1", "2", "3"],
}


def test_lineage_goes_from_model_to_run_reports_dataset_and_counts():
    assert Descent(facts=FACTS).text().splitlines() == [
        "Model lucidflux/3 @champion",
        "  trained by run r1, 400 steps, of gggggggggggg",
        "  on frozen parts backbone.safetensors ffffffffffff",
        "  judged by evaluations/x/report.html, scores 555555555555, benchmarks heavy, compared with adapter cccccccccccc",
        "  on pairs 999999999999 of curation 888888888888",
        "  of dataset photos, DVC version d.dir, images 777777777777",
        "  pictures by source and reason:",
        "    archive: kept 2",
        "    not stated: kept 1, rejected:flat 4",
        "  3 pictures were trained on:",
        "    by source: archive 2, not stated 1",
        "    by licence: CC0 3",
        "Their ids: lucidflux lineage MODEL --images",
    ]


def test_a_version_of_an_older_program_is_read_too():
    old = {name: value for name, value in FACTS.items() if name not in ("outcomes_by_source", "training_licences")}
    old |= {"funnel": {"kept": 3}, "evaluation": {"page": "h", "scores_manifest": "5" * 64}}
    lines = Descent(facts=old).text().splitlines()
    assert "  judged by h, scores 555555555555, benchmarks not recorded" in lines
    assert "    all: kept 3" in lines
    assert "    by licence: not recorded" in lines
