"""Curate: score every stored picture, then decide once (paper section 3.4).

As in the paper, quality is measured on what passed the two cheap filters.
"""

from __future__ import annotations

import math

from components.backends import contracts, manifest
from components.backends.engine import map_shards
from components.backends.storage import open_storage
from components.curate import score
from components.curate.select import filter_reason, funnel, kept_of_ranked, select
from components.curate.settings import CurateSettings
from components.errors import ContractError
from components.imaging import iqa
from components.records import Curation, DatasetVersion, Progress, content_hash, quiet

OPERATOR = "curate-1"


def curate(
    dataset: DatasetVersion, settings: CurateSettings, *, objects: str, workers: int = 1, progress: Progress = quiet
) -> Curation:
    """Give every row of a dataset version its scores and one verdict.

    Args:
        dataset: what ingest made.
        settings: limits, metric, share and split.
        objects: root of the object store.
        workers: processes that decode and score.
        progress: called after each shard.

    Raises:
        ContractError: the manifest breaks an expectation before or after; names the rows.
    """
    store = open_storage(objects)
    metric = iqa.info(settings.quality_metric)
    rows = manifest.rows(store, dataset.manifest)
    jobs = score.shard_jobs(objects, rows)
    measured = map_shards(score.score_sharpness, jobs, workers=workers, phase="sharpness", progress=progress)
    sharp = {key: pair for group in measured for key, pair in group.items()}
    rows = [row | _sharpness(sharp[row["id"]]) if row["id"] in sharp else row for row in rows]
    passed = [row for row in rows if row["verdict"] == "kept" and not filter_reason(row, settings)]
    quality = score.score_quality(score.shard_jobs(objects, passed), settings.quality_metric, progress=progress)
    rows = [row | {"quality": _number(quality.get(row["id"]))} for row in rows]
    before = contracts.require(contracts.check("curate_before", rows, parameters={"rows": dataset.manifest.rows}))
    judged = select(rows, settings, higher_is_better=metric.higher_is_better)
    after = contracts.require(contracts.check("curate_after", judged, parameters=_limits(judged, settings, len(rows))))
    _both_sides(judged)
    written = manifest.write(store, "images", judged, parent=dataset.manifest.sha256, settings=content_hash(OPERATOR, settings))
    return Curation(manifest=written, dataset=dataset, before=before, after=after, funnel=funnel(judged))


def _sharpness(pair: tuple[float, float]) -> score.Row:
    return {"blur": pair[0], "flat_share": _number(pair[1])}


def _number(value: float | None) -> float | None:
    """NaN as null, which is what it means in a manifest."""
    return None if value is None or math.isnan(value) else value


def _limits(rows: list[score.Row], settings: CurateSettings, count: int) -> dict[str, float]:
    """What the contract after curation holds the rows to."""
    ranked = sum(row["verdict"] == "kept" or row["reason"] == "quality_rank" for row in rows)
    return {
        "rows": count,
        "blur_minimum": settings.blur_minimum,
        "blur_maximum": settings.blur_maximum,
        "flat_share_maximum": settings.flat_share_maximum,
        "kept": kept_of_ranked(ranked, settings.keep_share),
    }


def _both_sides(rows: list[score.Row]) -> None:
    """Training needs kept pictures on the train side and evaluation on the test side."""
    for side in ("train", "test"):
        if not any(row["verdict"] == "kept" and row["split"] == side for row in rows):
            raise ContractError(
                f"Expected kept pictures on the {side} side of the split, none is left: {funnel(rows)}. "
                "Give more photos (two scenes or more), or widen the limits, for example --set curate.keep_share=1."
            )
