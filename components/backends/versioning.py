"""Dataset versions in DVC, with or without git; the one home of dvc.

A version is one tracked folder: `images.parquet`, once it was curated also `curated.parquet`, and the shards that
their rows point into. DVC therefore sees a few large files and never one per picture. Everything DVC writes stays
inside the workspace folder.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from components.backends import manifest as manifests
from components.backends.storage import LocalStorage, Storage, file_sha256
from components.errors import LucidfluxError, VersionError
from components.records import DatasetVersion, Expectations, Manifest

FOLDER = "data"
TABLE = "images.parquet"
CURATED = "curated.parquet"
_LOGGERS = ("dvc", "dvc_data", "dvc_objects")


class Pulled(NamedTuple):
    """What a pull left in its target."""

    manifest: Path
    curated: Path | None
    written: int
    """Files that were not there, or not as they should be."""
    unchanged: int


def make_version(
    name: str,
    store: Storage,
    manifest: Manifest,
    *,
    workspace: Path,
    remote: str,
    expectations: Expectations,
    git_revision: str,
) -> DatasetVersion:
    """Pin a manifest and its shards in DVC and push them to the remote.

    The same manifest gives the same hash on any machine; a second call uploads nothing.

    Args:
        name: what people call the dataset.
        store: holds the manifest and the shards.
        manifest: an image manifest.
        workspace: folder of the DVC repository; made at the first call.
        remote: folder or s3://bucket/prefix; `AWS_ENDPOINT_URL` overrides the S3 endpoint.
        expectations: what the rows were checked against.
        git_revision: revision of the program.

    Raises:
        VersionError: DVC or the remote refused; says why.
    """
    pinned = _pin(store, {TABLE: manifest}, workspace=workspace, remote=remote)
    return DatasetVersion(name=name, manifest=manifest, expectations=expectations, git_revision=git_revision, **pinned)


def add_curated(
    version: DatasetVersion, store: Storage, curated: Manifest, *, workspace: Path, remote: str, git_revision: str
) -> DatasetVersion:
    """Pin what curation decided beside the image manifest and the shards of a version, as a version of its own.

    The hash is a function of both manifests and the shards; only the curated manifest is uploaded.

    Args:
        version: what `make_version` gave, or this function for another curation.
        store: holds the manifests and the shards.
        curated: image rows of the same pictures with their verdicts.
        workspace: folder of the DVC repository.
        remote: folder or s3://bucket/prefix.
        git_revision: revision of the program that curated.

    Raises:
        VersionError: DVC or the remote refused; says why.
    """
    pinned = _pin(store, {TABLE: version.manifest, CURATED: curated}, workspace=workspace, remote=remote)
    return version.model_copy(update={"curated": curated, "git_revision": git_revision, **pinned})


def pull_version(version: DatasetVersion, *, workspace: Path, remote: str, target: Path) -> Pulled:
    """Bring a dataset version back from the remote; needs the record and nothing else.

    Args:
        version: the record that `make_version` gave, perhaps on another machine.
        workspace: folder of a DVC repository, which may be new.
        remote: the remote that the version was pushed to.
        target: receives `images.parquet`, `curated.parquet` if there is one, and `shards/`; files that are already right
            are left alone.

    Raises:
        VersionError: the remote does not hold the version, or a file came back changed.
    """
    with _repository(workspace, remote) as repository:
        pulled = workspace.absolute() / "pulled" / version.dvc_md5.removesuffix(".dir")
        pulled.mkdir(parents=True, exist_ok=True)
        write_pin(pulled / f"{FOLDER}.dvc", version)
        repository.pull(str(pulled / f"{FOLDER}.dvc"))
        written, unchanged = _copy(pulled / FOLDER, target, version)
        shutil.rmtree(pulled)
    return Pulled(target / TABLE, target / CURATED if version.curated else None, written, unchanged)


def read_pin(data_dvc: Path) -> str | None:
    """Read the hash in a `.dvc` file; None when there is no such file or it pins no folder."""
    if not data_dvc.is_file():
        return None
    found = re.search(r"^(?:-| ) md5: ([0-9a-f]{32}\.dir)$", data_dvc.read_text(), flags=re.MULTILINE)
    return found.group(1) if found else None


def write_pin(data_dvc: Path, version: DatasetVersion) -> None:
    """Write the `.dvc` file of a version, byte for byte as DVC does."""
    lines = (
        "outs:",
        f"- md5: {version.dvc_md5}",
        f"  size: {version.bytes}",
        f"  nfiles: {version.files}",
        "  hash: md5",
        f"  path: {FOLDER}",
    )
    LocalStorage(data_dvc.parent).put(data_dvc.name, ("\n".join(lines) + "\n").encode())


def _pin(store: Storage, tables: Mapping[str, Manifest], *, workspace: Path, remote: str) -> dict[str, Any]:
    """Track manifests and their shards, push them, and give the fields of a version that DVC decides."""
    with _repository(workspace, remote) as repository:
        folder = workspace.absolute() / FOLDER
        _fill(folder, store, tables)
        out = repository.add(str(folder))[0].outs[0]
        repository.push(str(folder.with_suffix(".dvc")))
        return {"dvc_md5": out.hash_info.value, "files": out.meta.nfiles, "bytes": out.meta.size}


def _fill(folder: Path, store: Storage, tables: Mapping[str, Manifest]) -> None:
    """Make the tracked folder anew from hard links, or copies where links cannot be made."""
    files: dict[str, Path] = {}
    for name, manifest in tables.items():
        files[name] = manifests.checked_path(store, manifest)
        rows = manifests.query(store, manifest, "select distinct shard from rows where shard <> '' order by shard")
        files |= {row["shard"]: store.fetch(row["shard"]) for row in rows}
    shutil.rmtree(folder, ignore_errors=True)
    for name, source in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)


def _copy(pulled: Path, target: Path, version: DatasetVersion) -> tuple[int, int]:
    """Copy what came back after comparing it with the hashes that name it; counts files written and left alone."""
    store = LocalStorage(target)
    named = {TABLE: version.manifest.sha256} | ({CURATED: version.curated.sha256} if version.curated else {})
    written, found = 0, sorted(path for path in pulled.rglob("*") if path.is_file())
    for path in found:
        key = path.relative_to(pulled).as_posix()
        expected = named.get(key, path.stem)
        if file_sha256(path) != expected:
            raise VersionError(
                f"Expected {key} of {version.name} to hash to {expected[:12]}, it was changed in the remote or in the "
                "DVC cache. Delete the home's dvc folder and pull again; if it stays so, push the version again."
            )
        if not (store.exists(key) and file_sha256(store.fetch(key)) == expected):
            store.put_file(key, path)
            written += 1
    return written, len(found) - written


@contextmanager
def _repository(workspace: Path, remote: str) -> Iterator[Any]:
    """Open the workspace's repository, alone and silent; DVC's failures become VersionError."""
    said: list[str] = []
    try:
        repo = _imported()
        with _alone(workspace.absolute()), _captured(said):
            _configure(workspace.absolute(), remote)
            with repo.Repo(str(workspace.absolute())) as repository:
                yield repository
    except LucidfluxError:
        raise
    except Exception as error:
        raise VersionError(
            f"DVC failed between '{workspace}' and the remote '{remote}': {_reason(error, said)}. "
            "Check backend.dvc_remote (a folder or s3://bucket/prefix), free space and credentials."
        ) from error


def _imported() -> Any:
    """Import DVC, which replaces the process's output streams at import, and put those back."""
    streams = sys.stdout, sys.stderr
    import dvc.repo

    sys.stdout, sys.stderr = streams
    return dvc.repo


def _configure(workspace: Path, remote: str) -> None:
    """Write the settings of the repository; a half-made one is completed."""
    from dvc.config import Config

    folder = workspace / ".dvc"
    folder.mkdir(parents=True, exist_ok=True)
    place = {"url": remote if "://" in remote else str(Path(remote).absolute())}
    if remote.startswith("s3://") and (endpoint := os.environ.get("AWS_ENDPOINT_URL")):
        place["endpointurl"] = endpoint
    with Config(str(folder), validate=False).edit("repo") as settings:
        settings["core"] = {
            "no_scm": True,
            "analytics": False,
            "check_update": False,
            "remote": "storage",
            # the default is below /var, shared by all repositories of the machine
            "site_cache_dir": str(folder / "site"),
        }
        settings["remote"] = {"storage": place}
        settings["cache"] = {"type": "hardlink,copy"}


@contextmanager
def _alone(workspace: Path) -> Iterator[None]:
    """Let one process or thread at a time into a workspace; the lock dies with its holder."""
    workspace.mkdir(parents=True, exist_ok=True)
    with (workspace / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _Collector(logging.Handler):
    """Keep what DVC logs instead of printing it."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.said = said

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        if record.exc_info and record.exc_info[1] is not None:
            self.said.append(str(record.exc_info[1]))


@contextmanager
def _captured(said: list[str]) -> Iterator[None]:
    """Collect DVC's warnings and switch its output and progress bars off while inside."""
    bars = logging.getLogger("dvc.progress")
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    level, handler = bars.level, _Collector(said)
    bars.setLevel(logging.CRITICAL)
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
    try:
        yield
    finally:
        bars.setLevel(level)
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate


def _reason(error: BaseException | None, said: list[str]) -> str:
    """Join the messages of a chain of errors and of the log, each once."""
    words: list[str] = []
    while error is not None:
        words.append(str(error) or type(error).__name__)
        error = error.__cause__ or error.__context__
    lines = (" ".join(text.split()).rstrip(".") for text in (*words, *said))
    return "; ".join(dict.fromkeys(line for line in lines if line))
