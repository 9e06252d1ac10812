"""Synthesize: one seeded recipe per kept training picture and epoch; pixels are re-made from it."""

from __future__ import annotations

from typing import Any

from components.backends import contracts, manifest
from components.backends.storage import open_storage
from components.backends.tables import Tables
from components.errors import ContractError
from components.imaging.degrade import recipe
from components.records import Curation, PairSet, Progress, content_hash, quiet
from components.synthesize.settings import SynthesizeSettings

OPERATOR = "synthesize-2"


def synthesize(curation: Curation, settings: SynthesizeSettings, *, objects: str, progress: Progress = quiet) -> PairSet:
    """Draw the recipes of every training pair.

    Args:
        curation: whose kept rows on the train side are degraded.
        settings: preset, epochs, crop, seed.
        objects: root of the object store.
        progress: called after each picture.

    Raises:
        ContractError: no picture is as large as the crop, or the pairs break an expectation; names the rows.
    """
    store = open_storage(objects)
    rows = manifest.query(
        store,
        curation.manifest,
        "select *, least(width_px, height_px) as side_px from rows where verdict = 'kept' and split = 'train' order by id",
    )
    kept, rows = len(rows), [row for row in rows if row["side_px"] >= settings.crop_px]
    if not rows:
        raise ContractError(
            f"Expected training pictures of at least {settings.crop_px} px a side, all {kept} kept ones are smaller. "
            "Give larger photos or set synthesize.crop_px."
        )
    degradation = recipe.preset(settings.preset).model_copy(update={"crop_px": settings.crop_px})
    pairs: list[dict[str, Any]] = []
    for done, row in enumerate(rows):
        for epoch in range(settings.epochs):
            drawn = recipe.draw(settings.seed, row["id"], epoch, degradation).pack()
            pairs.append(
                {
                    "id": content_hash(row["id"], epoch, drawn),
                    "hq_id": row["id"],
                    "epoch": epoch,
                    "seed": settings.seed,
                    "split": "train",
                    "recipe": drawn,
                    "shard": row["shard"],
                    "offset": row["offset"],
                    "length": row["length"],
                }
            )
        progress("recipes", done + 1, len(rows))
    with Tables(store) as tables:
        tables.table("pairs", "pairs", pairs)
        checked = contracts.check("pairs", tables, "pairs", parameters={"images": len(rows), "epochs": settings.epochs})
    written = manifest.write(
        store, "pairs", pairs, parent=curation.manifest.sha256, settings=content_hash(OPERATOR, settings, degradation)
    )
    return PairSet(manifest=written, curation=curation, expectations=contracts.require(checked), too_small=kept - len(rows))
