"""The one place where components become Prefect tasks: names, retries, time limits, cache keys.

A task's key is the content of its inputs, the settings it reads and the operator's version, so that an
unchanged stage is found again and a changed one is not. Components are imported when a task runs: flows
stay quick to import.
"""

from flows.tasks.caching import run
from flows.tasks.data import (
    benchmarks,
    curate_images,
    draw_dataset,
    draw_pairs,
    ingest_images,
    synthesize_pairs,
    version_curation,
    version_dataset,
)
from flows.tasks.measuring import measure_benchmark
from flows.tasks.release import continue_job, promote_version, register_model, restore_pictures, rollback_champion
from flows.tasks.training import evaluate_adapter, train_adapter

__all__ = [
    "benchmarks",
    "continue_job",
    "curate_images",
    "draw_dataset",
    "draw_pairs",
    "evaluate_adapter",
    "ingest_images",
    "measure_benchmark",
    "promote_version",
    "register_model",
    "restore_pictures",
    "rollback_champion",
    "run",
    "synthesize_pairs",
    "train_adapter",
    "version_curation",
    "version_dataset",
]
