"""What the verb `dataset pull` does: a version comes back from the remote, into a folder or into the home."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

from pydantic import Field

from components.backends import history, versioning
from components.backends.history import SHORT, Entry
from components.backends.storage import LocalStorage, Storage
from components.errors import VersionError
from components.records import Curation, DatasetVersion, Record
from flows.dataset import settings_of
from flows.layout import size
from flows.workspace import Workspace


class Shipment(Record):
    """What a machine needs to know to pull a version; `--json dataset show` prints it, a pull leaves it beside the files."""

    entry: Entry
    settings: dict[str, dict[str, object]] = Field(default_factory=dict)
    """By stage, as `recall_settings` gives them."""


class PulledVersion(Record):
    """A version that came back from the remote."""

    version: DatasetVersion
    folder: str
    """Empty for the home's own store."""
    written: int
    unchanged: int

    def text(self) -> str:
        """What lies where."""
        version = self.version
        held = f"images.parquet ({version.manifest.rows} rows)"
        if version.curated:
            held += f", curated.parquet ({version.curated.rows} rows)"
        named = f"{version.name} {version.dvc_md5}"
        proved = f"{size(version.bytes)}, every file has the hash that it is named by"
        counted = f"{self.written} files written, {self.unchanged} were there"
        if not self.folder:
            name = (version.curated or version.manifest).sha256[:SHORT]
            return f"Pulled {named} into this home: {counted}; {proved}.\nNext: lucidflux dataset show {name}"
        return f"Pulled {named} to {self.folder}: {counted}; {proved}.\n{held}, shards/, and version.json, which names them."


def pull(workspace: Workspace, name: str, out: Path | None) -> PulledVersion:
    """Bring a version back from the remote and prove every hash.

    Args:
        workspace: whose DVC repository and remote are used.
        name: beginning of a hash, or a JSON file that `lucidflux --json` printed.
        out: receives the files; None is the home's own store, where stages find them.

    Raises:
        VersionError: the record or the remote does not hold the version, or a file came back changed.
        ManifestError: nothing has that name.
    """
    shipped = read_record(Path(name)) if name.endswith(".json") else _shipment(workspace.store, name)
    version = _pinned(shipped.entry)
    bring = partial(versioning.pull_version, version, workspace=workspace.home / "dvc", remote=workspace.remote)
    if out is not None:
        pulled = bring(target=out)
        LocalStorage(out).put("version.json", shipped.model_dump_json().encode())
        return PulledVersion(version=version, folder=str(out.absolute()), written=pulled.written, unchanged=pulled.unchanged)
    folder = workspace.home / "dvc" / "arrived" / version.dvc_md5.removesuffix(".dir")
    bring(target=folder)
    written = history.adopt(workspace.store, shipped.entry, folder)
    shutil.rmtree(folder)
    for values in shipped.settings.values():
        rest = {name: value for name, value in values.items() if name != "operator"}
        history.remember_settings(workspace.store, values.get("operator"), rest)
    return PulledVersion(version=version, folder="", written=written, unchanged=version.files - written)


def read_record(path: Path) -> Shipment:
    """Read what `lucidflux --json` printed for ingest, curate, `dataset show` or `dataset pull`, or what a pull left.

    Raises:
        VersionError: the file is missing or holds no version.
    """
    try:
        found = json.loads(path.read_bytes())
        if "entry" in found:
            return Shipment.model_validate({name: found[name] for name in Shipment.model_fields if name in found})
        if "dataset" in found:
            curation = Curation.model_validate(found)
            return Shipment(entry=Entry(version=curation.dataset, curation=curation))
        return Shipment(entry=Entry(version=DatasetVersion.model_validate(found.get("version", found))))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds none"
        raise VersionError(
            f"Expected the record of a dataset version in '{path}': {reason}. "
            "Make the file with lucidflux --json dataset show VERSION > version.json"
        ) from error


def _shipment(store: Storage, name: str) -> Shipment:
    entry = history.find(store, name)
    return Shipment(entry=entry, settings=settings_of(store, entry))


def _pinned(entry: Entry) -> DatasetVersion:
    if not entry.pinned:
        raise VersionError(
            f"The curated manifest {entry.manifest.sha256[:SHORT]} is not pinned in DVC. Run lucidflux curate "
            f"{entry.version.manifest.sha256[:SHORT]} again, or pull the pictures: lucidflux dataset pull {entry.version.dvc_md5}"
        )
    return entry.version
