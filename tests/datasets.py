"""A small home with one dataset: ingested, curated twice, trained on."""

import hashlib

from components.backends import catalog, history, manifest
from components.backends.shards import write_shard
from components.backends.storage import LocalStorage
from components.records import Curation, DatasetVersion, PairSet
from tests import records

PICTURES = ("a", "b", "c", "d", "e", "f")
SETTINGS = {
    "blur_minimum": 150.0,
    "blur_maximum": 8000.0,
    "flat_share_maximum": 0.5,
    "quality_metric": "piqe",
    "keep_share": 0.5,
}


def sha(name):
    return hashlib.sha256(content(name)).hexdigest()


def content(name):
    return name.encode() * 100


def ingested(home, pictures=PICTURES, *, source="photos", name="photos"):
    """Store pictures as ingest would, and save the version, without DVC."""
    store = LocalStorage(home / "objects")
    places = write_shard(store, [(f"{sha(one)}.png", content(one)) for one in pictures])
    rows = [image(one, source) | place._asdict() for one, place in zip(pictures, places, strict=True)]
    rows.append(
        {"id": "", "origin": f"{source}/broken.jpg", "source": source, "licence": "own", "trusted": False}
        | {"url": "", "verdict": "failed", "reason": "truncated", "related": "", "bytes": 7}
    )
    settings = history.remember_settings(store, "ingest-t", {"max_bytes": 1000})
    made = manifest.write(store, "images", rows, settings=settings)
    version = DatasetVersion(
        name=name,
        dvc_md5=made.sha256[:32] + ".dir",
        files=2,
        bytes=5000,
        manifest=made,
        expectations=records.expectations(),
        git_revision="g",
    )
    return catalog.save(store, version)


def image(name, source="photos"):
    return {
        "id": sha(name),
        "origin": f"{source}/set/{name}.png",
        "scene": f"scene-{name}",
        "split": "",
        "width_px": 640,
        "height_px": 480,
        "bytes": 100,
        "format": "png",
        "frames": 1,
        "source": source,
        "url": f"https://example.org/{name}.png",
        "licence": "CC0",
        "trusted": False,
        "phash": "0f1e2d3c4b5a6978",
        "verdict": "kept",
        "reason": "",
        "related": "",
    }


def curated(home, version, verdicts, **settings):
    """Decide of a version: `verdicts` gives, by picture, columns that differ from those of a kept row."""
    store = LocalStorage(home / "objects")
    by_id = {sha(one): columns for one, columns in verdicts.items()}
    rows = [
        row | ({"blur": 300.0, "flat_share": 0.25, "quality": 20.0, "split": "train", "group": ""} | by_id.get(row["id"], {}))
        if row["verdict"] == "kept"
        else row
        for row in manifest.rows(store, version.manifest)
    ]
    digest = history.remember_settings(store, "curate-t", SETTINGS | settings)
    made = manifest.write(store, "images", rows, parent=version.manifest.sha256, settings=digest)
    funnel = {}
    for row in rows:
        outcome = row["verdict"] if row["verdict"] == "kept" else f"{row['verdict']}:{row['reason']}"
        funnel[outcome] = funnel.get(outcome, 0) + 1
    checks = {"before": records.expectations("curate_before"), "after": records.expectations("curate_after")}
    return catalog.save(store, Curation(manifest=made, dataset=version, funnel=funnel, **checks))


def paired(home, curation, *pictures, epochs=2):
    """Draw pairs from pictures."""
    store = LocalStorage(home / "objects")
    rows = [
        {"id": f"{sha(one)}{epoch}", "hq_id": sha(one), "epoch": epoch, "seed": 0, "split": "train", "recipe": "{}"}
        for one in pictures
        for epoch in range(epochs)
    ]
    made = manifest.write(store, "pairs", rows, parent=curation.manifest.sha256)
    return catalog.save(store, PairSet(manifest=made, curation=curation, expectations=records.expectations("pairs")))


def trained(home, pairs, run_id="r1", *, number=1):
    """Train on pairs and register the run."""
    store = LocalStorage(home / "objects")
    catalog.save(store, records.train_run(run_id).model_copy(update={"pairs": pairs}))
    catalog.save(store, records.version(number).model_copy(update={"run_id": run_id}))


REJECTED = {
    "b": {"verdict": "rejected", "reason": "blurred", "blur": 93.1, "quality": None},
    "c": {"verdict": "rejected", "reason": "near_duplicate", "related": "photos/set/a.png", "group": "g1"},
    "d": {"verdict": "rejected", "reason": "quality_rank", "quality": 60.0},
    "a": {"group": "g1", "quality": 10.0},
    "e": {"split": "test", "quality": 30.0},
}
"""Verdicts of the first curation: a, e and f are kept."""
