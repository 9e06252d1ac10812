"""What curation costs beside the work itself, how its memory grows with the rows, and millions of rows.

    python -m benchmarks.curation overhead [--pictures 10000]
    python -m benchmarks.curation memory   [--rows 1000 10000 100000]
    python -m benchmarks.curation select   [--rows 3000000]

`overhead` draws pictures that share nothing, then times curation with one and with two workers beside a bare process pool
that does the same scoring and nothing else. `memory` and `select` make manifests whose scores are there already, so that what
is measured is the joining, judging, checking and writing of rows; each size runs in a process of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import made_pictures
from components.backends.shards import read_spans, write_shard
from components.backends.storage import LocalStorage, open_storage
from components.backends.tables import Tables
from components.curate import duplicates, quality, score
from components.curate.run import Means, curate
from components.curate.select import passed
from components.curate.settings import CurateSettings
from components.imaging import codec, iqa
from components.ingest.run import ingest
from components.ingest.settings import IngestSettings
from components.records import DatasetVersion, Expectations, Manifest

SHARD = 4096
METRIC = "entropy"
"""Cheap and without weights: what is measured is not the metric."""
SIDE_PX = 512
RANKED = 0.01
"""Share that is ranked: the metric is slow, and neither orchestration nor bookkeeping."""
PICTURES = 300
"""Different ones behind made rows."""


def version(handle: Manifest) -> DatasetVersion:
    """A dataset version without DVC."""
    checked = Expectations(suite="ingest", passed=True, evaluated=0)
    return DatasetVersion(name="made", dvc_md5="", files=0, bytes=0, manifest=handle, expectations=checked, git_revision="")


def draw_pictures(folder: Path, count: int) -> None:
    """Write JPEGs that share nothing, since copies of one another would cost time that depends on how many there are."""
    draws = made_pictures.clouds, made_pictures.shapes, made_pictures.cells
    folder.mkdir(parents=True)
    for number in range(count):
        generator = np.random.default_rng(number)
        large = cv2.resize(draws[number % len(draws)](generator), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)
        tinted = np.rint(large[..., None] * generator.uniform(0.6, 1, 3)).astype(np.uint8)
        (folder / f"{number:06d}.jpg").write_bytes(codec.encode_jpeg(tinted, 90))


def bare(job: score.LumaJob) -> int:
    """Score a shard and keep nothing."""
    store = open_storage(job.objects)
    contents = read_spans(store, job.shard, [(offset, length) for _, offset, length in job.spans])
    return sum(bool(score.measured(data)) for data in contents)


def overhead(pictures: int) -> None:
    """Time curation and the bare pool over the same pictures."""
    with tempfile.TemporaryDirectory() as folder:
        draw_pictures(Path(folder) / "photos", pictures)
        store = LocalStorage(Path(folder) / "objects")
        started = time.perf_counter()
        handle = ingest([str(Path(folder) / "photos")], IngestSettings(shard_pictures=250), objects=store.root, workers=2)
        print(f"ingest, 2 workers: {time.perf_counter() - started:.1f} s for {pictures} pictures of {SIDE_PX} px")
        alone, bare_seconds, settings = bare_work(store, handle)
        print(f"bare pool of 2: {bare_seconds:.1f} s; groups and quality, which are work too: {alone:.1f} s")
        for workers in (1, 2):
            drop_scores(store)
            started = time.perf_counter()
            made = curate(version(handle), settings, Means(objects=store.root, workers=workers, progress=Phases()))
            seconds = time.perf_counter() - started
            print(f"curate, {workers} workers: {seconds:.1f} s, {made.funnel}")
        share = (seconds - alone - bare_seconds) / (alone + bare_seconds)
        print(f"orchestration and bookkeeping over the bare work, 2 workers: {share:+.1%} (limit +10 %)")


class Phases:
    """Tells how long each phase took."""

    def __init__(self) -> None:
        self.started: dict[str, float] = {}

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Print when a phase ends."""
        now = time.perf_counter()
        self.started.setdefault(phase, now)
        if done == total:
            print(f"  {phase}: {now - self.started[phase]:.1f} s from its first to its last job")


def bare_work(store: LocalStorage, handle: Manifest) -> tuple[float, float, CurateSettings]:
    """Seconds of groups and quality, seconds of a bare pool of two for the scores, and settings that rank the sharpest."""
    with Tables(store) as tables:
        tables.manifest("images", handle)
        jobs = list(score.jobs(store.root, tables.tuples(score.JOBS)))
        started = time.perf_counter()
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
            done = sum(pool.map(bare, jobs))
            pool_seconds = time.perf_counter() - started
            keys = list(pool.map(score.score_luma, jobs))
        tables.view("luma", "luma", keys)
        sharp = tables.one("select quantile_disc(blur, $share) as blur from luma", {"share": 1 - RANKED})["blur"]
        limits: dict[str, Any] = {"blur_minimum": sharp, "blur_maximum": 1e9, "flat_share_maximum": 1}
        known = {"share_of_blurred": "The benchmark: few pictures are ranked on purpose"}
        settings = CurateSettings(quality_metric=METRIC, keep_share=1, overrides=known, **limits)
        started = time.perf_counter()
        duplicates.find_groups(tables, overlap=settings.duplicate_overlap)
        tables.run(
            "create view scored as select images.* replace (luma.blur as blur), null as leak from images join luma using (id)"
        )
        passed(tables, settings)
        for row in tables.rows("select * from passed"):
            image_u8 = codec.decode(store.read_range(row["shard"], row["offset"], row["length"]), limits=codec.STORED).image_u8
            iqa.score(METRIC, [image_u8])
        print(f"{done} pictures in {len(jobs)} shards")
        return time.perf_counter() - started, pool_seconds, settings


def drop_scores(store: LocalStorage) -> None:
    """Forget what was measured and found."""
    for prefix in ("scores/", "parts/groups/"):
        for key in list(store.list(prefix)):
            (store.folder / key).unlink()


MADE = """create table made as
with drawn as (
    select range as n, sha256(range::varchar) as id, hash(range) % 1000003 / 1000003.0 as u,
        hash(range, 7) % 1000003 / 1000003.0 as v, hash(range, 9) % 1000003 / 1000003.0 as w
    from range($rows))
select n, id, printf('shards/%s.tar', sha256((n // $shard)::varchar)) as shard, places."offset", places.length,
    printf('web/%09d.jpg', n) as origin, printf('web/%d', n // 3) as scene,
    (640 + 3400 * u)::int as width_px, (480 + 2600 * v)::int as height_px,
    places.length as bytes, 'jpeg' as format, 1 as frames, 'web' as source, '' as url, 'CC BY' as licence, w > 0.97 as trusted,
    left(sha256(id), 16) as phash, case when w < 0.01 then 'failed' else 'kept' end as verdict,
    case when w < 0.01 then 'truncated' else '' end as reason, '' as related,
    exp(5.5 + 1.5 * sqrt(-2 * ln(u + 1e-9)) * cos(6.2831853 * v)) as blur, v * w as flat_share, u * w as value
from drawn join places on places.k = n % $pictures"""


def write_pictures(tables: Tables, store: LocalStorage, shards: int) -> None:
    """Write one tar of made pictures under the name of every shard, and say in `places` where they lie in it."""
    generator = np.random.default_rng(0)
    members = []
    for number in range(PICTURES):
        small = generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        members.append((f"{number}.jpg", codec.encode_jpeg(cv2.resize(small, (256, 192), interpolation=cv2.INTER_CUBIC), 85)))
    placed = write_shard(store, members)
    original = store.fetch(placed[0].shard)
    for number in range(shards):
        link = original.with_name(f"{hashlib.sha256(str(number).encode()).hexdigest()}.tar")
        link.hardlink_to(original)
    tables.run('create table places (k bigint, "offset" bigint, length bigint)')
    for number, place in enumerate(placed):
        tables.run("insert into places values (?, ?, ?)", [number, place.offset, place.length])


def make_rows(store: LocalStorage, rows: int) -> Manifest:
    """Write a manifest of made rows, and the parts that scoring would have left."""
    columns = "* exclude (n, blur, flat_share, value)"
    with Tables(store, memory_mib=2048) as tables:
        write_pictures(tables, store, -(-rows // SHARD))
        tables.run(MADE, {"rows": rows, "shard": SHARD, "pictures": PICTURES})
        handle = tables.write("images", f"select {columns} from made")
        tables.run("create table luma as select id, blur, flat_share, ''::blob as print, shard from made")
        tables.run("create table quality as select id, value, shard from made where verdict = 'kept'")
        tables.run("create view images as select * from made")
        for job in score.jobs(store.root, list(tables.tuples(score.JOBS))):
            chosen = f"where shard = '{job.shard}'"
            tables.part("luma", f"select * exclude (shard) from luma {chosen}", job.key)
            tables.part(
                "quality", f"select * exclude (shard) from quality {chosen}", quality.key(iqa.operator(METRIC), job.shard, "made")
            )
    return handle


def curate_made(folder: str, handle: str, *, picture: bool) -> dict[str, Any]:
    """Curate made rows in this process and say what it took."""
    before = peak_kib()
    settings = CurateSettings(quality_metric=METRIC, keep_share=0.2)
    started = time.perf_counter()
    made = curate(version(Manifest.model_validate_json(handle)), settings, Means(objects=folder, workers=2))
    curated = time.perf_counter()
    page = 0.0
    if picture:
        from components.curate.picture import Metric, Subject, make_picture

        metric = Metric(METRIC, "made scores", higher_is_better=True)
        make_picture(Subject("made", made.manifest, settings, metric), store=open_storage(folder))
        page = time.perf_counter() - curated
    peak = peak_kib()
    return {
        "seconds": curated - started,
        "page": page,
        "peak_mib": peak / 1024,
        "start_mib": before / 1024,
        "funnel": made.funnel,
    }


def peak_kib() -> int:
    """Most memory that this process ever had; ru_maxrss would begin with what its parent had."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1))  # type: ignore[union-attr]


def in_a_process(folder: Path, handle: Manifest, *, picture: bool) -> dict[str, Any]:
    """Call curate_made in a fresh process."""
    words = [sys.executable, "-m", "benchmarks.curation", "made", str(folder), handle.model_dump_json(), str(int(picture))]
    found: dict[str, Any] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    return found


def main() -> None:
    """Run one of the measurements."""
    if sys.argv[1:2] == ["made"]:
        print(json.dumps(curate_made(sys.argv[2], sys.argv[3], picture=sys.argv[4] == "1")))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("overhead", "memory", "select"))
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--rows", type=int, nargs="+")
    chosen = parser.parse_args()
    if chosen.what == "overhead":
        overhead(chosen.pictures)
        return
    for rows in chosen.rows or ([1000, 10_000, 100_000] if chosen.what == "memory" else [3_000_000]):
        with tempfile.TemporaryDirectory() as folder:
            handle = make_rows(LocalStorage(folder), rows)
            found = in_a_process(Path(folder), handle, picture=chosen.what == "select")
        print(
            f"{rows} rows: curate {found['seconds']:.1f} s, page {found['page']:.1f} s, peak {found['peak_mib']:.0f} MiB "
            f"({found['start_mib']:.0f} after the imports), {found['funnel']}"
        )


if __name__ == "__main__":
    main()
