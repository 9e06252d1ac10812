"""Batches that were watched, in the object store: a list that only grows, and a sample and a report for each."""

from __future__ import annotations

from pydantic import ValidationError

from components.backends import succession
from components.backends.storage import Storage
from components.errors import StorageError
from components.restore.control_settings import DriftSettings
from components.restore.drift.findings import DriftReport
from components.restore.drift.samples import Sample, merged

LIST = "restore-batch"
"""Name of the list."""


def last(store: Storage, batch: str, settings: DriftSettings) -> Sample | None:
    """Give the sample of the batches before one, together; None where there is none.

    Raises:
        StorageError: a stored sample cannot be read.
    """
    before = _before(store, batch)[-settings.batches :] if settings.batches else []
    if not before:
        return None
    return merged((Sample.unpack(store.read(f"drift/{one}/sample.json")) for one in before), settings.sample)


def reports(store: Storage, batch: str, most: int) -> list[DriftReport]:
    """Give the reports of the batches before one, oldest first.

    Raises:
        StorageError: a report is missing or cannot be read.
    """
    return [_report(store, f"drift/{one}/report.json") for one in _before(store, batch)[-most:]]


def _report(store: Storage, key: str) -> DriftReport:
    try:
        return DriftReport.model_validate_json(store.read(key))
    except ValidationError as error:
        raise StorageError(f"Expected a drift report in '{key}', got something else. Watch that batch again.") from error


def record(store: Storage, found: Sample, report: DriftReport) -> str:
    """Keep a batch, so that later ones are compared with it, and give the report's key; twice is once.

    Args:
        store: object store.
        found: the batch's sample.
        report: what `compare` gave, with its page.
    """
    store.put(f"drift/{report.batch}/sample.json", found.pack())
    key = store.put(f"drift/{report.batch}/report.json", report.model_dump_json(indent=1).encode())
    succession.append(store, LIST, report.batch)
    return key


def _before(store: Storage, batch: str) -> list[str]:
    known = succession.history(store, LIST)
    return known[: known.index(batch)] if batch in known else known
