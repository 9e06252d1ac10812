"""Model versions in MLflow's registry: one version per content key, found by number and by alias.

Only MLflow's client object is used: no process-wide tracking URI. mlflow is imported at the first question,
after its telemetry was switched off.
"""

from __future__ import annotations

import os
import re
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from components.errors import LucidfluxError, RegistryError
from components.records import ModelVersion

KEY_TAG = "lucidflux.key"
"""Content key of a run or of a model version; finds it again."""
LICENCE_TAG = "lucidflux.licence"
CHALLENGER = "challenger"
ANSWER_SECONDS = 5.0
"""How long a server may take to say that it is there; mlflow itself would go on trying for minutes."""


class Registry:
    """Model versions behind one MLflow tracking URI."""

    def __init__(self, uri: str, *, artifact_root: Path, experiment: str) -> None:
        """Remember where; nothing is opened or written yet.

        Args:
            uri: sqlite:///… or http(s)://…
            artifact_root: folder of the artifacts; with a server it is the server that decides.
            experiment: name of the experiment, made when it is missing.
        """
        self.uri, self.experiment = uri, experiment
        self.artifact_root = artifact_root.absolute()

    @cached_property
    def client(self) -> Any:
        """MLflow's client; asking for it the first time finds out whether the server answers."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        if self.uri.startswith("http"):
            with urllib.request.urlopen(f"{self.uri.rstrip('/')}/health", timeout=ANSWER_SECONDS):  # noqa: S310 (http, see above)
                pass
        elif self.uri.startswith("sqlite:///"):
            Path(self.uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        from mlflow import MlflowClient

        return MlflowClient(self.uri, registry_uri=self.uri)

    @cached_property
    def experiment_id(self) -> str:
        """Id of the experiment that holds runs and models."""
        found = self.client.get_experiment_by_name(self.experiment)
        if found is not None:
            return str(found.experiment_id)
        place = None if self.uri.startswith("http") else self.artifact_root.as_uri()
        return str(self.client.create_experiment(self.experiment, artifact_location=place))

    @contextmanager
    def asking(self, what: str) -> Iterator[None]:
        """Turn whatever goes wrong between here and MLflow into a sentence."""
        try:
            yield
        except LucidfluxError:
            raise
        except Exception as error:
            reason = " ".join((str(error) or type(error).__name__).split())[:500]
            raise RegistryError(
                f"MLflow at {self.uri} could not {what}: {reason}. Check that it runs and answers (backend.mlflow)."
            ) from error

    def register(
        self, name: str, folder: Path, *, key: str, run_id: str, tags: Mapping[str, str], card: str, licence: str
    ) -> ModelVersion:
        """Make a saved model a version with alias `challenger`; the same key gives the same version.

        Args:
            name: of the registered model.
            folder: what `mlflow.pyfunc.save_model` left.
            key: content key of the version.
            run_id: the run that trained it.
            tags: lineage.
            card: model card in Markdown; the description of the version.
            licence: shown with the version.
        """
        with self.asking("register a model"):
            if (found := self._find(name, key)) is None:
                model = self.client.create_logged_model(self.experiment_id, name=name, source_run_id=run_id)
                self.client.log_model_artifacts(model.model_id, str(folder))
                self.client.finalize_logged_model(model.model_id, "READY")
                if not self.client.search_registered_models(f"name = '{name}'"):
                    self.client.create_registered_model(name)
                # a client on a database would look models:/… up under the process-wide tracking URI
                source = f"models:/{model.model_id}" if self.uri.startswith("http") else model.artifact_location
                found = self.client.create_model_version(
                    name,
                    source,
                    run_id,
                    tags={KEY_TAG: key, LICENCE_TAG: licence, **tags},
                    description=card,
                    model_id=model.model_id,
                    await_creation_for=None,
                )
        self.set_alias(name, CHALLENGER, int(found.version))
        return _record(found, CHALLENGER)

    def find(self, name: str, key: str) -> ModelVersion | None:
        """Give the version that was registered with a key."""
        with self.asking("look for a model version"):
            found = self._find(name, key)
            return None if found is None else _record(self.client.get_model_version(name, found.version), "")

    def _find(self, name: str, key: str) -> Any:
        versions = self.client.search_model_versions(f"name = '{name}' and tags.`{KEY_TAG}` = '{key}'")
        return min(versions, key=lambda version: int(version.version), default=None)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Move an alias to a version."""
        with self.asking(f"set {name}@{alias}"):
            self.client.set_registered_model_alias(name, alias, str(version))

    def by_alias(self, name: str, alias: str) -> ModelVersion | None:
        """Give the version that has an alias; None when no version has it."""
        with self.asking(f"look {name}@{alias} up"):
            models = self.client.search_registered_models(f"name = '{name}'")
            number = models[0].aliases.get(alias) if models else None
            return None if number is None else _record(self.client.get_model_version(name, str(number)), alias)

    def resolve(self, model: str) -> ModelVersion:
        """Give the version that `NAME@alias` or `NAME/number` means now.

        Raises:
            RegistryError: there is none, or the text has another form.
        """
        form = re.fullmatch(r"(?P<name>[^@/]+)(?:@(?P<alias>[^@/]+)|/(?P<number>\d+))", model)
        if form is None:
            raise RegistryError(f"Expected NAME@alias or NAME/number, got '{model}'. For example lucidflux@champion.")
        if form["alias"]:
            found = self.by_alias(form["name"], form["alias"])
        else:
            with self.asking(f"look {model} up"):
                wanted = f"name = '{form['name']}' and version_number = {form['number']}"
                there = self.client.search_model_versions(wanted)
                found = _record(self.client.get_model_version(form["name"], form["number"]), "") if there else None
        if found is None:
            raise RegistryError(f"There is no {model} in the registry at {self.uri}. Known: {self._known(form['name'])}.")
        return found

    def newest(self, name: str) -> ModelVersion | None:
        """Give the version that was registered last; None when there is none."""
        with self.asking(f"list versions of {name}"):
            found = self.client.search_model_versions(f"name = '{name}'", max_results=1, order_by=["version_number DESC"])
            return _record(self.client.get_model_version(name, found[0].version), "") if found else None

    def _known(self, name: str) -> str:
        with self.asking("list model versions"):
            models = self.client.search_registered_models(f"name = '{name}'")
            numbers = [entry.version for entry in self.client.search_model_versions(f"name = '{name}'", max_results=8)]
            aliases = [f"{name}@{alias}" for alias in sorted(models[0].aliases)] if models else []
            return ", ".join([*aliases, *(f"{name}/{number}" for number in numbers)]) or "no version of that name"

    def tags(self, version: ModelVersion) -> dict[str, str]:
        """Tags of a version, the lineage among them."""
        with self.asking(f"read {version.name}/{version.version}"):
            return dict(self.client.get_model_version(version.name, str(version.version)).tags)

    def download(self, version: ModelVersion, target: Path, part: str = "") -> Path:
        """Copy a version's files, or one of them, to a folder.

        Args:
            version: what to copy.
            target: existing or new folder.
            part: file or folder inside the model; empty is the whole model.

        Returns:
            Path of the copy.
        """
        with self.asking(f"download {version.name}/{version.version}"):
            from mlflow.artifacts import download_artifacts

            target.mkdir(parents=True, exist_ok=True)
            place = self.client.get_model_version_download_uri(version.name, str(version.version))
            address = f"{place.rstrip('/')}/{quote(part)}" if part else place
            return Path(download_artifacts(artifact_uri=address, dst_path=str(target), tracking_uri=self.uri))

    def read_text(self, version: ModelVersion, part: str) -> str:
        """Read a text file of a version."""
        with TemporaryDirectory() as folder:
            return self.download(version, Path(folder), part).read_text()


@dataclass(frozen=True)
class Package:
    """What a model that takes and gives pictures is saved from."""

    script: Path
    """Python file that calls `mlflow.models.set_model`."""
    code: Sequence[Path]
    """Folders of the packages that the script imports."""
    artifacts: Mapping[str, Path]
    """Name -> file or folder that the script finds in its context."""
    config: Mapping[str, Any]
    """Settings that whoever loads the model may change."""
    parameters: Mapping[str, tuple[str, float | None]]
    """Name -> (MLflow's type, default) of what a request may set; None leaves it to the model."""
    requirements: Sequence[str]
    """Pinned distributions; given, so that nothing is guessed or asked from a network."""
    example: bytes
    """A small encoded picture."""
    files: Mapping[str, str]
    """Name -> text of further files beside the model."""


def save_package(package: Package, folder: Path) -> Path:
    """Write a pyfunc model whose input and output are a column `image` of encoded pictures.

    Args:
        package: what goes in.
        folder: must not exist yet.
    """
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    picture = Schema([ColSpec(DataType.binary, "image")])
    asked = ParamSchema([ParamSpec(name, kind, default) for name, (kind, default) in package.parameters.items()])
    # an example cannot hold None
    given = {name: value for name, (_, value) in package.parameters.items() if value is not None}
    save_model(
        str(folder),
        python_model=str(package.script),
        code_paths=[str(path) for path in package.code],
        artifacts={name: str(path) for name, path in package.artifacts.items()},
        model_config=dict(package.config),
        signature=ModelSignature(inputs=picture, outputs=picture, params=asked),
        input_example=(pd.DataFrame({"image": [package.example]}), given),
        pip_requirements=list(package.requirements),
    )
    for name, text in package.files.items():
        (folder / name).write_text(text)
    return folder


def _record(entry: Any, alias: str) -> ModelVersion:
    """MLflow's version as ours; without a given alias one that it has, `champion` before `challenger`."""
    alias = alias or max(entry.aliases, default="")
    licence = entry.tags.get(LICENCE_TAG, "")
    return ModelVersion(name=entry.name, version=int(entry.version), alias=alias, run_id=entry.run_id, licence=licence)
