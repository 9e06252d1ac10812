"""Find a stage's record again by the hash or id that people copy from its output."""

from __future__ import annotations

from typing import TypeVar

from components.backends.storage import Storage
from components.errors import ManifestError
from components.records import BenchmarkReport, Curation, DatasetVersion, EvalReport, ModelVersion, PairSet, Record, TrainRun

R = TypeVar("R", bound=Record)


def record_name(record: Record) -> str:
    """The hash or id that names a record."""
    match record:
        case DatasetVersion():
            return (record.curated or record.manifest).sha256
        case Curation() | PairSet():
            return record.manifest.sha256
        case TrainRun():
            return record.run_id
        case EvalReport():
            return record.checkpoint_sha256
        case BenchmarkReport():
            return record.name
        case ModelVersion():
            return f"{record.name}-{record.version}"
    raise ManifestError(f"A {type(record).__name__} has no name of its own.")


def save(store: Storage, record: R) -> R:
    """Write a record where `find` sees it, and give it back."""
    store.put(_key(type(record), record_name(record)), record.model_dump_json().encode())
    return record


def find(store: Storage, kind: type[R], name: str) -> R:
    """Read a record by the beginning of its name.

    Args:
        store: where records live.
        kind: class of the record.
        name: whole hash or id, or enough of its beginning to be unique.

    Raises:
        ManifestError: nothing or more than one thing has that name.
    """
    names = sorted(key.rpartition("/")[2].removesuffix(".json") for key in store.list(f"records/{kind.__name__}/"))
    matches = [known for known in names if known.startswith(name)]
    if name in names:
        matches = [name]
    if len(matches) != 1:
        shown = ", ".join(known[:12] for known in names[:8]) or "none yet"
        what = "more than one" if matches else "no"
        raise ManifestError(f"There is {what} {kind.__name__} '{name}'. Known: {shown}.")
    return kind.model_validate_json(store.read(_key(kind, matches[0])))


def every(store: Storage, kind: type[R]) -> list[tuple[R, float]]:
    """Read all records of a kind, the last saved one last.

    Returns:
        (record, time of its file in seconds since 1970). Of a remote store it is the time of the local copy. Times are
        for ordering and for people; no hash knows them.
    """
    keys = list(store.list(f"records/{kind.__name__}/"))
    found = [(kind.model_validate_json(store.read(key)), store.fetch(key).stat().st_mtime) for key in keys]
    return sorted(found, key=lambda pair: pair[1])


def _key(kind: type[Record], name: str) -> str:
    return f"records/{kind.__name__}/{name}.json"
