"""Curate: score every stored picture, find copies and leaks, rank what passed, then decide once (paper section 3.4).

Every step leaves parts in the object store, so that a killed run goes on where it was and a moved threshold measures
nothing again. Rows are joined and judged in SQL; this process never holds them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from components.backends import contracts
from components.backends.engine import map_shards
from components.backends.history import remember_settings
from components.backends.storage import Storage, open_storage
from components.backends.tables import Tables
from components.curate import duplicates, leaks, quality, registered, score
from components.curate.select import funnel, kept_of_ranked, limits, passed, select
from components.curate.settings import CurateSettings
from components.errors import ContractError
from components.imaging import iqa
from components.imaging.iqa.identity import device
from components.records import Curation, DatasetVersion, Expectations, Manifest, Progress, content_hash, quiet

OPERATOR = "curate-2"
WORTH_SPREADING = 1000
"""Pictures to rank from which on it pays to load the metric in every worker; an accelerator is never shared."""

_SHARPNESS = "create or replace table sharpness as select id, blur, flat_share from luma"
_MEASURED = """create or replace table measured as
select images.* replace (sharpness.blur as blur, sharpness.flat_share as flat_share, groups."group" as "group"),
    leaks.benchmark || '/' || leaks.benchmark_id as leak
from images
left join sharpness on sharpness.id = images.id and images.verdict <> 'failed'
left join groups on groups.id = images.id and images.verdict <> 'failed'
left join leaks on leaks.id = images.id and images.verdict <> 'failed'"""
_SCORED = """create or replace view scored as
select measured.* replace (quality.value as quality) from measured left join quality on quality.id = measured.id"""


@dataclass(frozen=True)
class Means:
    """What curation works with, apart from what it decides."""

    objects: str
    """Root of the object store."""
    workers: int = 1
    """Processes that decode and score."""
    engine: str = ""
    """Address of a cluster; empty for local processes."""
    weights: Path | None = None
    """Folder of third-party weights, for metrics that need some."""
    reference: Manifest | None = None
    """Curated manifest of the version before, which drift is measured against."""
    reference_metric: str = ""
    """Metric of its quality; that of another metric is not compared."""
    docs: Path | None = None
    """Local folder for Great Expectations' pages."""
    progress: Progress = field(default=quiet)


def curate(dataset: DatasetVersion, settings: CurateSettings, means: Means) -> Curation:
    """Give every row of a dataset version its scores and one verdict.

    Args:
        dataset: what ingest made.
        settings: limits, metric, share and split.
        means: where to work and with what.

    Raises:
        WeightsError: the metric's weights are not there.
        ContractError: the manifest breaks an expectation before or after; names the rows.
    """
    iqa.ready(settings.quality_metric, means.weights)
    store = open_storage(means.objects)
    with Tables(store) as tables:
        tables.manifest("images", dataset.manifest)
        keys = measure(tables, means)
        _relate(tables, store, settings, keys)
        tables.run(_MEASURED)
        _rank_quality(tables, store, settings, means)
        before = _held(tables, "curate_before", "scored", settings, means, {"rows": dataset.manifest.rows})
        ranked = select(tables, settings, higher_is_better=iqa.info(settings.quality_metric).higher_is_better)
        counts = funnel(tables)
        after = _held(tables, "curate_after", "judged", settings, means, _expected(settings, dataset, ranked))
        _both_sides(tables, counts, settings)
        guarded = {one.name: one.images.sha256 for one in registered.registered(store)}
        named = remember_settings(store, OPERATOR, settings.model_dump(mode="json") | {"benchmarks": guarded})
        written = tables.write("images", "select * from judged", parent=dataset.manifest.sha256, settings=named)
    return Curation(manifest=written, dataset=dataset, before=before, after=after, funnel=counts)


def measure(tables: Tables, means: Means) -> list[str]:
    """Score the luma of every kept row of `images`, as `luma` and `sharpness`; give the keys of the parts."""
    shards = int(tables.one("select count(distinct shard) as n from images where verdict = 'kept'")["n"])
    jobs = score.jobs(means.objects, tables.tuples(score.JOBS))
    keys = map_shards(
        score.score_luma,
        jobs,
        workers=means.workers,
        address=means.engine,
        total=shards,
        phase="sharpness",
        progress=means.progress,
    )
    tables.view("luma", "luma", keys)
    tables.run(_SHARPNESS)
    return keys


def _relate(tables: Tables, store: Storage, settings: CurateSettings, keys: list[str]) -> None:
    """Make `groups` and `leaks`, or find them from an earlier run over the same prints."""
    named = content_hash(OPERATOR, sorted(keys), settings.duplicate_overlap)
    _remembered(tables, store, "groups", named, lambda: duplicates.find_groups(tables, overlap=settings.duplicate_overlap))
    benchmarks = [record.model_dump(mode="json") for record in registered.registered(store)]
    if not benchmarks:
        tables.table("leaks", "leaks")
        return
    registered.fill(tables, store)
    named = content_hash(OPERATOR, sorted(keys), settings.leak_overlap, benchmarks)
    _remembered(tables, store, "leaks", named, lambda: leaks.find_leaks(tables, overlap=settings.leak_overlap))


def _remembered(tables: Tables, store: Storage, kind: str, named: str, find: Callable[[], None]) -> None:
    """Make a table of a kind, and keep it as a part by what it was made from."""
    key = f"parts/{kind}/{named}.parquet"
    if store.exists(key):
        tables.parts(kind, kind, [key])
        return
    find()
    tables.part(kind, f'select * from "{kind}"', key)


def _rank_quality(tables: Tables, store: Storage, settings: CurateSettings, means: Means) -> None:
    """Give the rows that passed their quality."""
    tables.table("quality", "quality")
    tables.run(_SCORED)
    passed(tables, settings)
    count = int(tables.one("select count(*) as n from passed")["n"])
    many = count >= WORTH_SPREADING and device(settings.quality_metric) == "cpu"
    quality.score_quality(
        tables,
        store,
        settings.quality_metric,
        weights_folder=means.weights,
        workers=means.workers if many else 1,
        engine=means.engine if many else "",
        progress=means.progress,
    )


def _held(
    tables: Tables, suite: str, relation: str, settings: CurateSettings, means: Means, parameters: dict[str, float]
) -> Expectations:
    """Hold a relation against its suite and stop when it fails."""
    if means.reference is not None:
        tables.manifest("before", means.reference)
        same = means.reference_metric == settings.quality_metric
        compared = "*" if same else "* replace (null::double as quality)"
        tables.run(f"create or replace view reference as select {compared} from before")
    return contracts.require(
        contracts.check(
            suite,
            tables,
            relation,
            parameters=parameters,
            reference="reference" if means.reference is not None else None,
            overrides=settings.overrides,
            docs=means.docs,
        )
    )


def _expected(settings: CurateSettings, dataset: DatasetVersion, ranked: int) -> dict[str, float]:
    """What the contract after curation holds the rows to."""
    kept = kept_of_ranked(ranked, settings.keep_share)
    return limits(settings) | {"rows": dataset.manifest.rows, "kept_ranked": kept} | dict(settings.bands)


def _both_sides(tables: Tables, counts: dict[str, int], settings: CurateSettings) -> None:
    """Training needs kept pictures on the train side and evaluation on the test side."""
    wider = "curate.keep_share=1" if settings.keep_share < 1 else "curate.blur_minimum=0"
    sides = {row["split"] for row in tables.rows("select distinct split from judged where verdict = 'kept'")}
    for side in ("train", "test"):
        if side not in sides:
            raise ContractError(
                f"Expected kept pictures on the {side} side of the split, none is left: {counts}. "
                f"Give more photos (two scenes or more), or widen the limits, for example --set {wider}."
            )
