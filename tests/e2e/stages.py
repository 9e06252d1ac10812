"""Stages as a program without flows: no server, no DVC, no page; for tests that interrupt and compare many runs.

python -m tests.e2e.stages --home HOME [--set KEY=VALUE]... ingest SOURCE | curate MANIFEST | synthesize MANIFEST
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from components.backends.catalog import find, save
from components.backends.storage import open_storage
from components.curate import run as curation
from components.ingest.run import ingest
from components.records import Curation, DatasetVersion, Expectations
from components.synthesize import run as synthesis
from flows.settings import load


def main() -> None:
    """Run one stage and print its record, as the command line does."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("verb", choices=("ingest", "curate", "synthesize"))
    parser.add_argument("what")
    given = parser.parse_args()
    profile = load("tiny", given.overrides)
    backend = profile.backend
    objects = backend.objects or str(given.home / "objects")
    store = open_storage(objects)
    if given.verb == "ingest":
        manifest = ingest([given.what], profile.ingest, objects=objects, workers=backend.workers, engine=backend.engine)
        passed = Expectations(suite="ingest", passed=True, evaluated=0)
        made = DatasetVersion(
            name="photos", dvc_md5="", files=0, bytes=0, manifest=manifest, expectations=passed, git_revision=""
        )
        sys.stdout.write(save(store, made).model_dump_json() + "\n")
        return
    if given.verb == "curate":
        means = curation.Means(objects=objects, workers=backend.workers, engine=backend.engine)
        curated = save(store, curation.curate(find(store, DatasetVersion, given.what), profile.curate, means))
        sys.stdout.write(curated.model_dump_json() + "\n")
        return
    ways = synthesis.Means(objects=objects, workers=backend.workers, engine=backend.engine)
    pairs = synthesis.synthesize(find(store, Curation, given.what), profile.synthesize, ways)
    sys.stdout.write(pairs.model_dump_json() + "\n")


if __name__ == "__main__":
    main()
