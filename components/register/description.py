"""What a version says of itself: what it comes from, what it cost, where it fails; every figure is read from a record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.backends.storage import Storage
from components.backends.tables import Tables
from components.backends.tracking import Tracker
from components.imaging.sampler import SamplerSettings
from components.records import EvalReport, TrainRun, content_hash
from components.register.settings import RegisterSettings
from models.config import NetworkConfig
from models.footprint import estimate, shapes

WORST = 3
"""Pictures named for each benchmark and metric."""
FROZEN = ("backbone", "encoder", "autoencoder", "prior", "prompt")


def describe(
    run: TrainRun, report: EvalReport, settings: RegisterSettings, *, store: Storage, git_revision: str
) -> tuple[dict[str, Any], list[str]]:
    """Say what a version comes from.

    Returns:
        (lineage, sorted ids of the pictures that were trained on).
    """
    curation = run.pairs.curation
    dataset, checked = curation.dataset, run.pairs.checked
    counts, images = _pictures(run, store)
    facts = {
        "run_id": run.run_id,
        "dataset": dataset.name,
        "dataset_version": dataset.dvc_md5,
        "dataset_git_revision": dataset.git_revision,
        "manifest": dataset.manifest.sha256,
        "curated_manifest": curation.manifest.sha256,
        "pairs_manifest": run.pairs.manifest.sha256,
        "settings": run.settings,
        "git_revision": git_revision,
        "expectations": {suite.suite: suite.model_dump(mode="json", exclude={"suite"}) for suite in checked},
        "expectations_passed": all(suite.passed for suite in checked),
        "evaluation": {
            "sha256": content_hash(report),
            "scores_manifest": report.scores.sha256,
            "page": report.html,
            "benchmarks": report.benchmarks,
            "champion": report.champion,
        },
        "checkpoint": {"key": run.checkpoint, "sha256": run.checkpoint_sha256, "step": run.step},
        "base": run.base,
        "sampler": report.sampler,
        "licences": {"weights": settings.base_licence, "scoring": settings.scoring_licence},
        "worst": worst(report, store=store),
        "funnel": curation.funnel,
        **counts,
        "training_images": len(images),
    }
    return facts, images


def _pictures(run: TrainRun, store: Storage) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Counts of what was trained on by licence and by source, of everything by source and reason; the ids."""
    with Tables(store) as tables:
        tables.manifest("images", run.pairs.curation.manifest)
        tables.manifest("pairs", run.pairs.manifest)
        trained = tables.rows("select distinct hq_id from pairs order by hq_id")
        licences, sources = (
            tables.rows(
                f"select coalesce({column}, '') as name, count(*) as n from images "
                "where id in (select hq_id from pairs) group by 1 order by 1"
            )
            for column in ("licence", "source")
        )
        reasons: dict[str, dict[str, int]] = {}
        for row in tables.rows(
            "select coalesce(source, '') as source, concat_ws(':', verdict, nullif(reason, '')) as outcome, count(*) as n "
            "from images group by all order by all"
        ):
            reasons.setdefault(row["source"], {})[row["outcome"]] = row["n"]
    counts = {
        "training_licences": {row["name"]: row["n"] for row in licences},
        "training_sources": {row["name"]: row["n"] for row in sources},
        "outcomes_by_source": reasons,
    }
    return counts, [row["hq_id"] for row in trained]


def worst(report: EvalReport, *, store: Storage) -> list[dict[str, Any]]:
    """The pictures with the worst score of each benchmark and metric: `benchmark`, `metric`, `image_id`, `value`."""
    with Tables(store) as tables:
        tables.manifest("scores", report.scores)
        return [
            row
            for cell in report.summaries
            if cell.method == "restored"
            for row in tables.rows(
                "select benchmark, metric, image_id, value from scores "
                "where benchmark = ? and metric = ? and method = 'restored' and isfinite(value) "
                f"order by value {'asc' if cell.higher_is_better else 'desc'}, image_id limit {WORST}",
                (cell.benchmark, cell.metric),
            )
        ]


def cost(tracker: Tracker, run: TrainRun, report: EvalReport, base: Path) -> dict[str, Any]:
    """What training took and what restoring takes; a figure that no record holds is left out.

    Args:
        tracker: holds the curves of the training.
        run: what was trained.
        report: how long a picture took.
        base: bundle directory of the frozen parts.
    """
    config, sampler = NetworkConfig.load(base), SamplerSettings(**report.sampler)
    curves = {name: tracker.history(run.run_id, name) for name in ("seconds", "memory_gib", "gpu_memory_gib")}
    values = {name: [value for _, value in points] for name, points in curves.items()}
    found = {
        "updates": run.step,
        "trained_parameters": _count("adapter", config),
        "frozen_parameters": sum(_count(part, config) for part in FROZEN),
        "training_hours": math.fsum(seconds) / len(seconds) * run.step / 3600 if (seconds := values["seconds"]) else None,
        "training_memory_gib": max(values["memory_gib"], default=None),
        "training_gpu_memory_gib": max(values["gpu_memory_gib"], default=None),
        "seconds_per_picture": report.seconds_per_picture,
        "gpu_memory_gib": estimate(config, sampler.memory, sampler.tile_px, sampler.tile_px).peak.total / 2**30,
    }
    return {name: value for name, value in found.items() if value is not None}


def _count(part: str, config: NetworkConfig) -> int:
    return sum(math.prod(shape) for shape in shapes(part, config).values())


def tags(facts: Mapping[str, Any]) -> dict[str, str]:
    """The part of the lineage that is searched for; the whole is in lineage.json."""
    plain = (
        "dataset", "dataset_version", "manifest", "curated_manifest", "pairs_manifest", "settings", "git_revision",
        "expectations_passed", "training_images",
    )  # fmt: skip
    named = {f"lucidflux.{name}": str(facts[name]) for name in plain}
    named["lucidflux.checkpoint"] = facts["checkpoint"]["sha256"]
    named["lucidflux.evaluation"] = facts["evaluation"]["sha256"]
    return named | {f"lucidflux.base.{name}": digest for name, digest in facts["base"].items()}
