"""Synthesize: one seeded recipe per kept training picture and epoch; pixels are made from it again, or kept in shards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from components.backends import contracts
from components.backends.engine import map_shards
from components.backends.history import recall_settings, remember_settings
from components.backends.storage import Storage, open_storage
from components.backends.tables import Tables
from components.errors import ContractError, SettingsError, suggest
from components.imaging.degrade.presets import DegradeSettings, changed, preset
from components.records import Curation, Expectations, Manifest, PairSet, Progress, quiet
from components.synthesize import values
from components.synthesize.pairs import OPERATOR, PICTURES, PairJob, jobs, make_pairs
from components.synthesize.settings import SynthesizeSettings

SUITES = ("pairs", "draws", "looks")
PARTS_COUNTED = 64
"""Parts whose recipes one job counts."""
_ALLOWED = """create or replace table allowed as
select id, shard, "offset", length, width_px, height_px from curated where verdict = 'kept' and split = 'train'"""
_PICTURES = "create or replace view pictures as select * from allowed where least(width_px, height_px) >= {crop_px}"


@dataclass(frozen=True)
class Means:
    """What synthesis works with, apart from what it decides."""

    objects: str
    """Root of the object store."""
    workers: int = 1
    """Processes that draw and make pairs."""
    engine: str = ""
    """Address of a cluster; empty for local processes."""
    benchmarks: Mapping[str, Manifest] = field(default_factory=dict)
    """Pictures that no model may be trained on, by the name of their benchmark."""
    docs: Path | None = None
    """Local folder for Great Expectations' pages."""
    progress: Progress = field(default=quiet)


def degradation(settings: SynthesizeSettings) -> DegradeSettings:
    """Give what the settings allow to be drawn.

    Raises:
        UnknownName: there is no such preset.
        SettingsError: a changed setting is unknown or does not fit.
    """
    return changed(preset(settings.preset), settings.change).model_copy(update={"crop_px": settings.crop_px})


def synthesize(curation: Curation, settings: SynthesizeSettings, means: Means) -> PairSet:
    """Draw the recipes of every training pair, and make the pixels where they are to be kept.

    Args:
        curation: whose kept rows on the train side are degraded.
        settings: what is drawn and kept.
        means: where to work and with what.

    Raises:
        SettingsError: the degradation is unknown or does not fit.
        ContractError: a benchmark is newer than the curation, no picture is as large as the crop, or the pairs break an
            expectation; names the rows.
    """
    drawn, store = degradation(settings), open_storage(means.objects)
    _require_guarded(store, curation, means.benchmarks)
    with Tables(store) as tables:
        tables.manifest("curated", curation.manifest)
        tables.run(_ALLOWED)
        tables.run(_PICTURES.format(crop_px=settings.crop_px))
        kept, large = (int(tables.one(f"select count(*) as n from {name}")["n"]) for name in ("allowed", "pictures"))
        _require_some(kept, large, settings)
        keys = _make(tables, drawn, settings, means, large)
        tables.view("pairs", "pairs", keys)
        checked = _hold_pairs(tables, settings, means, large)
        draws = _hold_draws(tables, drawn, settings, means, keys)
        decided = {"degradation": drawn.model_dump(mode="json"), **settings.model_dump(include={"epochs", "seed", "store"})}
        written = tables.write(
            "pairs",
            "select * from pairs",
            parent=curation.manifest.sha256,
            settings=remember_settings(store, OPERATOR, decided),
        )
        tables.part("drawn", "select * from drawn", values.summary_key(written))
    return PairSet(manifest=written, curation=curation, expectations=checked, draws=draws, too_small=kept - large)


def _require_guarded(store: Storage, curation: Curation, benchmarks: Mapping[str, Manifest]) -> None:
    """A benchmark that curation did not know may be among the kept pictures, cut or compressed anew."""
    known = recall_settings(store, curation.manifest.settings).get("benchmarks", {})
    if late := sorted(name for name, images in benchmarks.items() if known.get(name) != images.sha256):
        raise ContractError(
            f"Expected a curation that keeps clear of the benchmarks {', '.join(late)}; they were registered or replaced after "
            f"{curation.manifest.sha256[:12]} was curated. Run curate again."
        )


def _require_some(kept: int, large: int, settings: SynthesizeSettings) -> None:
    if not large:
        raise ContractError(
            f"Expected training pictures of at least {settings.crop_px} px a side, all {kept} kept ones are smaller. "
            "Give larger photos or set synthesize.crop_px."
        )


def _make(tables: Tables, drawn: DegradeSettings, settings: SynthesizeSettings, means: Means, pictures: int) -> list[str]:
    """Make all parts; gives their keys."""
    pixels = settings.store == "shards"
    whole = PairJob(means.objects, drawn, settings.seed, tuple(range(settings.epochs)), (), pixels)
    return map_shards(
        make_pairs,
        jobs(whole, tables.tuples(PICTURES), settings.shard_pairs),
        workers=means.workers,
        address=means.engine,
        total=-(-pictures // settings.shard_pairs) * settings.epochs if pixels else 0,
        phase="pairs",
        progress=means.progress,
    )


def _hold_pairs(tables: Tables, settings: SynthesizeSettings, means: Means, pictures: int) -> Expectations:
    tables.table("guarded", "groups")
    for number, images in enumerate(means.benchmarks.values()):
        tables.manifest(f"benchmark_{number}", images)
        tables.run(f"insert into guarded select id, '' from benchmark_{number} where verdict = 'kept'")
    numbers = {"images": pictures, "epochs": settings.epochs, "pixels": int(settings.store == "shards")}
    return held("pairs", tables, "pairs", settings, means.docs, numbers)


def _hold_draws(
    tables: Tables, drawn: DegradeSettings, settings: SynthesizeSettings, means: Means, keys: list[str]
) -> Expectations:
    """Count what was drawn, as `drawn` and `parameters`, and hold it against the settings."""
    counts = map_shards(
        values.count_drawn,
        [
            values.CountJob(means.objects, drawn, tuple(keys[at : at + PARTS_COUNTED]))
            for at in range(0, len(keys), PARTS_COUNTED)
        ],
        workers=means.workers,
        address=means.engine,
        phase="values",
        progress=means.progress,
    )
    tables.view("counts", "drawn", counts)
    tables.run(
        "create or replace table drawn as select name, word, sum(n)::bigint as n, min(low) as low, max(high) as high "
        "from counts group by all"
    )
    tables.table("parameters", "parameters", values.judged(tables.rows("select * from drawn"), drawn))
    return held("draws", tables, "parameters", settings, means.docs, {})


def held(
    suite: str, tables: Tables, relation: str, settings: SynthesizeSettings, docs: Path | None, numbers: Mapping[str, float]
) -> Expectations:
    """Hold a relation against its suite and stop when it fails."""
    parameters = {**numbers, **bands(settings, suite)}
    checked = contracts.check(suite, tables, relation, parameters=parameters, overrides=settings.overrides, docs=docs)
    return contracts.require(checked)


def bands(settings: SynthesizeSettings, suite: str) -> dict[str, float]:
    """Give the limits of one suite that are set.

    Raises:
        SettingsError: one is of no suite of this stage.
    """
    known = {name: contracts.load(name).defaults for name in SUITES}
    every = sorted({limit for limits in known.values() for limit in limits})
    if unknown := sorted(set(settings.bands) - set(every)):
        raise SettingsError(f"There is no limit 'synthesize.bands.{unknown[0]}'.{suggest(unknown[0], every)}")
    return {name: value for name, value in settings.bands.items() if name in known[suite]}
