"""Are the pictures still those that the model was trained for: a batch's inputs and outputs against training and last batches.

Statistics of each picture (`measure`), a sample of them per batch that does not grow (`sample`, `merged`), comparison
(`compare`), the batches before (`last`, `reports`, `record`) and a page (`page`); `watch` does all that follows the sample.
Emitting an event is the flow's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from components.backends.storage import Storage
from components.imaging import measures
from components.imaging.codec import Image
from components.imaging.inspection.seen import Image01
from components.imaging.measures import CHEAP
from components.restore.control_settings import DriftSettings
from components.restore.drift.comparison import compare
from components.restore.drift.findings import DriftReport, Moved
from components.restore.drift.history import last, record, reports
from components.restore.drift.picture import page, put_page
from components.restore.drift.samples import Row, Sample, merged, sample

__all__ = [
    "DriftReport", "DriftSettings", "Moved", "Row", "Sample", "compare", "curated", "last", "measure", "measure_input", "merged",
    "page", "put_page", "record", "reports", "sample", "watch",
]  # fmt: skip


OF_THE_WHOLE = frozenset({"megapixels", "jpeg_quality"})
"""Statistics that a crop without a file does not have."""


def measure(
    lq: Image | Image01, restored: Image | Image01, file: bytes = b"", statistics: Iterable[str] = CHEAP
) -> dict[str, float]:
    """Measure a picture before and after; the names begin with `input.` and `output.`.

    Args:
        lq: (H, W, 3) RGB that came in, uint8 or float in [0, 1].
        restored: the result.
        file: bytes of the input, for the quality of a JPEG.
        statistics: names in STATISTICS.
    """
    names = list(statistics)
    before = measures.measure(lq, file, names)
    after = measures.measure(restored, b"", [name for name in names if name != "jpeg_quality"])
    return {f"input.{name}": value for name, value in before.items()} | {f"output.{name}": value for name, value in after.items()}


def measure_input(lq: Image, statistics: Iterable[str] = CHEAP) -> dict[str, float]:
    """Measure an LQ alone, in pixels: what depends on the size of a picture or its file is left out.

    Args:
        lq: (H, W, 3) uint8 RGB.
        statistics: names in STATISTICS.
    """
    names = [name for name in statistics if name not in OF_THE_WHOLE]
    return {f"input.{name}": value for name, value in measures.measure(lq, b"", names).items()}


def curated(row: Mapping[str, Any]) -> Row:
    """Give what a curated manifest knows of a picture: HQ is what outputs are compared with."""
    known = row.get("width_px") and row.get("height_px")
    return {
        "output.blur": row.get("blur"),
        "output.flat_share": row.get("flat_share"),
        "output.megapixels": row["width_px"] * row["height_px"] / 1e6 if known else None,
    }


def watch(store: Storage, batch: str, found: Sample, training: Mapping[str, Sample], settings: DriftSettings) -> DriftReport:
    """Compare a batch with training and with the batches before, write its page, and keep it; again, it is the same batch.

    Args:
        store: object store.
        batch: id of the batch.
        found: its sample.
        training: name -> sample of what the model was trained with; empty where it is not known.
        settings: limits.

    Raises:
        StorageError: what was kept of an earlier batch cannot be read.
    """
    references = dict(training)
    if (before := last(store, batch, settings)) is not None:
        references["last batches"] = before
    report = compare(batch, found, references, settings)
    report = put_page(store, report, found, references, reports(store, batch, settings.batches) if settings.batches else ())
    record(store, found, report)
    return report
