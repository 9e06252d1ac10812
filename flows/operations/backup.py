"""`backup` and `restore-state`: what a platform knows, in one file with a hash for everything in it.

In it are the databases (Prefect's, MLflow's, ledger and jobs), the ports, the ledger as text, and a list of MLflow's
artifacts with their hashes. The artifacts themselves and the object store are not: they are large, never change once written,
and are kept by copying the folder or by the bucket's own versions.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.errors import StorageError
from components.records import Record
from flows.operations import control, processes, record
from flows.operations.services import external
from flows.workspace import Workspace, git_revision

MANIFEST, ARTIFACTS, LEDGER = "manifest.json", "artifacts.json", "ledger.jsonl"
STATE, MLFLOW, PREFECT = "state.db", "mlflow/mlflow.db", "prefect/prefect.db"


class Backup(Record):
    """What was written."""

    file: str
    files: dict[str, str]
    """Name inside it -> sha256."""
    artifacts: int
    """Files of MLflow that are listed, not contained."""
    elsewhere: tuple[str, ...]
    """Databases that are not files of the home."""

    def text(self) -> str:
        """Say it."""
        hint = f"\nNot in it, back up by pg_dump: {', '.join(self.elsewhere)}." if self.elsewhere else ""
        listed = f"{self.artifacts} artifacts of MLflow are listed in it and not contained: keep a copy of mlflow/artifacts."
        return f"Wrote {', '.join(self.files)} to {self.file}.\n{listed}{hint}"


class Restored(Record):
    """What was brought back."""

    files: tuple[str, ...]
    aside: str
    """Folder that has what was there before; empty when nothing was."""
    missing: tuple[str, ...]
    """Artifacts of the list that are not in the home or differ."""

    def text(self) -> str:
        """Say it."""
        aside = f"\nWhat was there before is in {self.aside}." if self.aside else ""
        shown = ", ".join(self.missing[:5])
        lost = f"\n{len(self.missing)} artifacts are missing or differ, copy them back: {shown}" if self.missing else ""
        return f"Brought back {', '.join(self.files)}.{aside}{lost}\nNext: lucidflux up"


def backup(workspace: Workspace, file: Path) -> Backup:
    """Write a consistent copy of the state, also while everything runs.

    The ledger and the registry are copied while nobody can promote, so that they agree; Prefect's own history is copied as
    it is then.

    Args:
        workspace: profile and home.
        file: the result, a tar; gzip where it ends with `gz`.

    Raises:
        StorageError: there is nothing to back up, or the file cannot be written.
    """
    home = workspace.home
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".backup-") as name:
            folder = Path(name)
            _copy_databases(workspace, folder)
            platform = record.load(home)
            if platform is not None:
                record.save(folder, platform.model_copy(update={"services": {}}))
            if not any(folder.iterdir()):
                raise StorageError(f"Expected state in {home}, found none. Is --home right?")
            artifacts = listing(home / "mlflow" / "artifacts")
            (folder / ARTIFACTS).write_text(json.dumps(artifacts, indent=0))
            files = {_inside(path, folder): digest(path) for path in _files(folder)}
            made = {"made": datetime.now(UTC).isoformat(timespec="seconds"), "program": git_revision(), "files": files}
            (folder / MANIFEST).write_text(json.dumps(made, indent=1))
            partial = folder / "state.tar"
            with tarfile.open(partial, "w:gz" if file.suffix.endswith("gz") else "w") as tar:
                for inside in (MANIFEST, *files):
                    tar.add(folder / inside, inside)
            partial.replace(file)
    except OSError as error:
        raise StorageError(f"Cannot write the backup {file}: {error.strerror or error}.") from error
    return Backup(file=str(file), files=files, artifacts=len(artifacts), elsewhere=tuple(_elsewhere(workspace)))


def restore(workspace: Workspace, file: Path, *, force: bool = False) -> Restored:
    """Bring a home back to what a backup holds; everything is proved before anything is touched.

    Args:
        workspace: profile and home.
        file: what `backup` wrote.
        force: end a platform that runs, and put state that is there aside.

    Raises:
        StorageError: the file is not a whole backup, or there is state and `force` was not given.
    """
    home = workspace.home
    with tempfile.TemporaryDirectory(dir=home, prefix=".restore-") as name:
        folder = Path(name)
        files = _unpacked(file, folder)
        there = [inside for inside in (STATE, MLFLOW, PREFECT) if (home / inside).exists()]
        platform = record.load(home)
        running = platform is not None and bool(processes.marked(platform.token))
        if (there or running) and not force:
            what = "a platform that runs" if running else ", ".join(there)
            raise StorageError(f"Expected a home without state, {home} has {what}. --force puts it aside; nothing is deleted.")
        if running:
            control.down(workspace)
        with record.exclusive(home):
            aside = _put_aside(home) if there else ""
            for inside in (PREFECT, MLFLOW, STATE, record.NAME):
                if inside in files:
                    (home / inside).parent.mkdir(exist_ok=True)
                    (folder / inside).replace(home / inside)
        listed = json.loads((folder / ARTIFACTS).read_text())
    here = listing(home / "mlflow" / "artifacts")
    missing = tuple(sorted(path for path, about in listed.items() if here.get(path) != about))
    return Restored(files=tuple(files), aside=aside, missing=missing)


def listing(folder: Path) -> dict[str, Any]:
    """Every file below a folder: path -> its bytes and sha256."""
    found = {_inside(path, folder): path for path in _files(folder)} if folder.is_dir() else {}
    return {name: {"bytes": path.stat().st_size, "sha256": digest(path)} for name, path in sorted(found.items())}


def digest(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database that others may be writing; the copy is of one moment, and is checked.

    Raises:
        StorageError: it is damaged.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
            (answer,) = new.execute("pragma quick_check").fetchone()
    except sqlite3.DatabaseError as error:
        answer = str(error)
    if answer != "ok":
        raise StorageError(f"The database {source} is damaged: {answer}. Bring back an older backup.")


def _copy_databases(workspace: Workspace, folder: Path) -> None:
    home = workspace.home
    here = {name: home / name for name in (STATE, MLFLOW, PREFECT) if (home / name).is_file()}
    with _nobody_decides(workspace, here):
        for name in (STATE, MLFLOW):
            if name in here:
                copy_sqlite(here[name], folder / name)
        if STATE in here:
            lines = [entry.model_dump_json() for entry in workspace.ledger.entries()]
            (folder / LEDGER).write_text("".join(f"{line}\n" for line in lines))
    if PREFECT in here:
        copy_sqlite(here[PREFECT], folder / PREFECT)


@contextmanager
def _nobody_decides(workspace: Workspace, here: Mapping[str, Path]) -> Iterator[None]:
    with ExitStack() as held:
        held.enter_context(record.exclusive(workspace.home))
        if STATE in here:
            held.enter_context(workspace.ledger.exclusive(workspace.profile.registry.model))
        yield


def _elsewhere(workspace: Workspace) -> Iterator[str]:
    backend = workspace.profile.backend
    if backend.state.startswith("postgresql"):
        yield from ("the state database", "Prefect's", *(() if backend.mlflow else ("MLflow's",)))
    if external(workspace):
        yield f"MLflow at {backend.mlflow}"


def _unpacked(file: Path, folder: Path) -> dict[str, str]:
    """Unpack into a folder and prove every hash."""
    try:
        with tarfile.open(file) as tar:
            tar.extractall(folder, filter="data")
        files: dict[str, str] = json.loads((folder / MANIFEST).read_text())["files"]
        wrong = [name for name, sha256 in files.items() if digest(folder / name) != sha256]
    except (OSError, tarfile.TarError, KeyError, ValueError, EOFError) as error:
        raise StorageError(f"Expected a backup made by lucidflux backup, cannot read {file}: {error}.") from error
    if wrong:
        raise StorageError(f"The backup {file} was changed or damaged: {', '.join(wrong)}. Take another one.")
    return files


def _put_aside(home: Path) -> str:
    """Move databases, with what SQLite keeps beside them, to a folder of their own."""
    aside = home / f"before-restore-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
    for inside in (STATE, MLFLOW, PREFECT, record.NAME):
        for path in sorted((home / inside).parent.glob(f"{Path(inside).name}*")):
            if path.is_file() and not path.name.endswith(".lock"):
                target = aside / path.relative_to(home)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(path, target)
    return str(aside)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _inside(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()
