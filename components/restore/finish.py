"""What a finished batch leaves beside its results: the manifest, the sidecar, the counts."""

from __future__ import annotations

import json
from dataclasses import dataclass

from components.backends.jobs import Job
from components.backends.scratch import scratch
from components.backends.storage import Storage
from components.backends.tables import Tables
from components.records import Manifest

COLUMNS = "origin, id, output, output_sha256, width_px, height_px, model, settings, seed, verdict, reason, review, flags"
"""Of the manifest: what is the same whenever and wherever the batch was run."""
MEMORY_MIB = 64
"""What DuckDB may hold of the rows before it writes to disk: the parent stays small however many there are."""
COUNTS = """select count(*) filter (verdict = 'kept' and not reused) as restored, count(*) filter (reused) as reused,
    count(*) filter (verdict = 'failed') as failed, count(*) filter (review) as review from rows"""


@dataclass(frozen=True)
class Outcome:
    """What became of every input of a job."""

    manifest: Manifest
    counts: dict[str, int]
    sidecar: str
    """Key inside the output."""


def gather(job: Job, parts: list[str], *, objects: Storage, output: Storage, settings: str) -> Outcome:
    """Put the rows of every shard together: the manifest in the object store, and a line for each input in the output.

    Args:
        job: whose shards are done.
        parts: keys of their rows.
        objects: has the parts and receives the manifest.
        output: receives `restored-<job>.jsonl`.
        settings: hash of the settings, for the manifest.
    """
    sidecar = f"restored-{job.id[:12]}.jsonl"
    with Tables(objects, memory_mib=MEMORY_MIB) as tables, scratch("sidecar") as folder:
        tables.parts("rows", "restored", parts)
        counts = {name: int(count) for name, count in tables.one(COUNTS).items()}
        manifest = tables.write("restorations", f"select {COLUMNS} from rows", settings=settings)
        path = folder / sidecar
        with path.open("w") as file:
            for row in tables.stream("select * exclude (reused) from rows order by origin, input"):
                said = {name: value for name, value in row.items() if value not in (None, "")}
                said["scores"] = json.loads(said["scores"]) if "scores" in said else {}
                file.write(json.dumps(said, ensure_ascii=False) + "\n")
        output.put_file(sidecar, path)
    return Outcome(manifest, counts, sidecar)
