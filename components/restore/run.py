"""Restore a batch: every input ends as one output or one reason; nothing is done twice or overwritten.

A result is remembered beside the outputs by (input hash, model, settings). A re-run finds it and leaves the
file alone; a file that something else put there is never overwritten unless the caller forces it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.backends import manifest
from components.backends.storage import LocalStorage, Storage
from components.errors import DecodeError, SourceError, StorageError
from components.imaging import codec
from components.imaging.restorer import Restorer
from components.records import Progress, Restoration, content_hash, quiet
from components.restore.inputs import SUFFIX, Input, plan_outputs
from components.restore.settings import RestoreSettings

Row = dict[str, Any]

LEDGER = ".lucidflux"
"""Folder inside the output folder that remembers what each result was made from."""

FORM = "2"
"""What results carry; part of what names one, so that those of an older form are made again."""


@dataclass(frozen=True)
class Batch:
    """One restoration: which model, which settings, where to."""

    restorer: Restorer
    model: str
    """Identity of the model version; part of what names a result."""
    settings: RestoreSettings
    output: Path
    force: bool = False

    def key(self, image_id: str, planned: str) -> str:
        """Name what a result is made of."""
        return content_hash(FORM, image_id, planned, self.model, self.settings.format, self.settings.seed, self.restorer.identity)


def restore(inputs: Sequence[Input], batch: Batch, *, objects: Storage, progress: Progress = quiet) -> Restoration:
    """Restore every input and write the manifest of what became of each.

    Args:
        inputs: files and the relative names that the results mirror.
        batch: model, settings and output folder.
        objects: receives the manifest.
        progress: called after each picture.

    Raises:
        StorageError: the output folder cannot be written.
        SourceError: more than `restore.max_failed_share` of the pictures failed; what was restored stays.
    """
    store = LocalStorage(batch.output)
    loaded = [_load(item) for item in inputs]
    names = plan_outputs(inputs, [_format(picture, batch.settings) for picture in loaded])
    rows = []
    counts = {"restored": 0, "reused": 0, "failed": 0}
    for done, (item, loaded_one, name) in enumerate(zip(inputs, loaded, names, strict=True)):
        row, outcome = _one(store, batch, item, loaded_one, name)
        rows.append(row)
        counts[outcome] += 1
        progress("restore", done + 1, len(inputs))
    written = manifest.write(objects, "restorations", rows, settings=content_hash(batch.settings))
    if counts["failed"] > batch.settings.max_failed_share * len(inputs):
        raise SourceError(
            f"{counts['failed']} of {len(inputs)} pictures failed, more than restore.max_failed_share = "
            f"{batch.settings.max_failed_share} allows. The reasons are in {written.uri}; restored pictures were kept."
        )
    return Restoration(manifest=written, output=str(batch.output), model=batch.model, **counts)


@dataclass(frozen=True)
class _Loaded:
    """Identity of an input, and its format by the header or the reason why it has none."""

    id: str
    format: str = ""
    reason: str = ""


def _load(item: Input) -> _Loaded:
    try:
        data = item.path.read_bytes()
    except OSError:
        return _Loaded("", reason="unreadable")
    image_id = hashlib.sha256(data).hexdigest()
    try:
        return _Loaded(image_id, format=codec.identify(data))
    except DecodeError as error:
        return _Loaded(image_id, reason=error.reason)


def _format(loaded: _Loaded, settings: RestoreSettings) -> str:
    wanted = loaded.format if settings.format == "keep" else settings.format
    return wanted if wanted in SUFFIX else "png"


def _one(store: LocalStorage, batch: Batch, item: Input, loaded: _Loaded, name: str) -> tuple[Row, str]:
    row: Row = {
        "origin": item.origin,
        "id": loaded.id,
        "model": batch.model,
        "settings": content_hash(batch.settings),
        "seed": batch.settings.seed,
        "verdict": "failed",
        "reason": loaded.reason,
    }
    if loaded.reason:
        return row, "failed"
    key = batch.key(loaded.id, name)
    if (before := _remembered(store, key, name)) is not None:
        return row | before | {"verdict": "kept", "reason": ""}, "reused"
    kind = next(kind for kind, suffix in SUFFIX.items() if name.endswith(suffix))
    try:
        source = codec.source(item.path.read_bytes())
        if store.exists(name) and not batch.force and not _ours(store, name):
            return row | {"reason": "output_exists"}, "failed"
        codec.check_size(source, kind)
    except (DecodeError, OSError) as error:
        return row | {"reason": getattr(error, "reason", "unreadable")}, "failed"
    except ValueError:
        return row | {"reason": "not_encodable"}, "failed"
    made = _restore(store, batch, source, name, kind)
    store.put(f"{LEDGER}/{key}.json", json.dumps(made, sort_keys=True).encode())
    return row | made | {"verdict": "kept", "reason": ""}, "restored"


def _restore(store: LocalStorage, batch: Batch, source: codec.Source, name: str, kind: str) -> Row:
    (restored_01,) = batch.restorer.restore_01([source.image_01], seeds=[batch.settings.seed])
    encoded = codec.render(restored_01, source, kind)
    store.put(name, encoded)
    height_px, width_px = restored_01.shape[:2]
    digest = hashlib.sha256(encoded).hexdigest()
    return {"output": name, "output_sha256": digest, "width_px": width_px, "height_px": height_px}


def _remembered(store: LocalStorage, key: str, name: str) -> Row | None:
    """What an earlier run wrote, when the file is still that."""
    try:
        before: Row = json.loads(store.read(f"{LEDGER}/{key}.json"))
        same = hashlib.sha256(store.read(name)).hexdigest() == before["output_sha256"]
    except (StorageError, ValueError, KeyError):
        return None
    return before if same else None


def _ours(store: LocalStorage, name: str) -> bool:
    """Say whether a file is, byte for byte, a result that was written here before."""
    digest = hashlib.sha256(store.read(name)).hexdigest()
    return any(json.loads(store.read(key)).get("output_sha256") == digest for key in store.list(f"{LEDGER}/"))
