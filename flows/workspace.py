"""One run's view of the platform: the profile, the home folder and what is opened from them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from components.backends.storage import Storage, open_storage
from components.errors import StorageError, WeightsError
from flows.settings import REPOSITORY, Profile, load

if TYPE_CHECKING:
    from components.backends.state import Ledger
    from components.backends.tracking import Tracker


def open_workspace(profile: str, overrides: Sequence[str] | None, home: str) -> Workspace:
    """Load the profile and open the home that a flow was given.

    Raises:
        SettingsError: the profile or an override is wrong.
        StorageError: the home cannot be written.
    """
    workspace = Workspace(load(profile, overrides or ()), Path(home).absolute() if home else default_home())
    workspace.prepare()
    return workspace


def default_home() -> Path:
    """`LUCIDFLUX_HOME`, or `.lucidflux` in the current folder."""
    return Path(os.environ.get("LUCIDFLUX_HOME", ".lucidflux")).absolute()


@dataclass(frozen=True)
class Workspace:
    """Profile and home; two homes never touch each other."""

    profile: Profile
    home: Path

    def prepare(self) -> None:
        """Make the home and prove that it can be written.

        Raises:
            StorageError: it cannot.
        """
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            probe = self.home / f".probe-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise StorageError(
                f"Expected a home folder that can be written, '{self.home}' cannot ({error.strerror}). "
                "Choose another with --home or LUCIDFLUX_HOME."
            ) from error

    @property
    def objects(self) -> str:
        """Root of the object store."""
        return self.profile.backend.objects or str(self.home / "objects")

    @property
    def store(self) -> Storage:
        """The object store."""
        return open_storage(self.objects, cache=self.home / "cache")

    @property
    def remote(self) -> str:
        """The DVC remote."""
        return self.profile.backend.dvc_remote or str(self.home / "remote")

    @property
    def weights_folder(self) -> Path:
        """Third-party weights: LUCIDFLUX_WEIGHTS, else the setting backend.weights, else inside the home."""
        named = os.environ.get("LUCIDFLUX_WEIGHTS") or self.profile.backend.weights
        return Path(named).expanduser().absolute() if named else self.home / "weights"

    @property
    def docs(self) -> Path:
        """Great Expectations' pages about the last checks."""
        return self.home / "docs"

    @cached_property
    def base_hashes(self) -> dict[str, str]:
        """sha256 of every frozen part.

        Raises:
            WeightsError: one is missing.
        """
        from models.bundle import hashes

        try:
            return hashes(self.profile.base_folder)
        except ValueError as error:
            raise WeightsError(str(error)) from error

    @cached_property
    def tracker(self) -> Tracker:
        """MLflow runs and registry: of the setting, else of the server that runs for this home, else a file inside it."""
        from components.backends.tracking import Tracker
        from flows.operations import record

        folder = self.home / "mlflow"
        folder.mkdir(parents=True, exist_ok=True)
        running = record.address(self.home, "mlflow")
        uri = self.profile.backend.mlflow or running or f"sqlite:///{folder / 'mlflow.db'}"
        return Tracker(uri, artifact_root=folder / "artifacts", experiment="lucidflux")

    @cached_property
    def ledger(self) -> Ledger:
        """The promotion ledger."""
        from components.backends.state import Ledger

        return Ledger(self.profile.backend.state or f"sqlite:///{self.home / 'state.db'}")


def git_revision() -> str:
    """Revision of the program, with `+changes` when the clone differs from it; empty outside a clone."""
    try:
        revision = _git("rev-parse", "HEAD")
        return revision + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(*words: str) -> str:
    command = ["git", "-C", str(REPOSITORY), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
