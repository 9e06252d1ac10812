"""A profile: the stages' own settings composed, loaded from TOML, changed by `key=value`.

`--profile NAME` and `--set key=value` are the only two ways to change what is run. A file states only its
difference from the one it extends; every key is checked, with a suggestion for a wrong one. Where it runs, a deployment
may say in its environment too: `LUCIDFLUX_STATE` is `backend.state`, and so on. Only there, and only the state
database's address may carry a password.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, field_serializer

from components.backends.addresses import has_password, without_password
from components.curate.settings import CurateSettings
from components.errors import SettingsError, suggest
from components.evaluate.settings import BenchmarkSettings, EvaluateSettings
from components.imaging.sampler import SamplerSettings
from components.ingest.settings import IngestSettings
from components.records import Settings
from components.register.settings import PromoteSettings, RegisterSettings
from components.restore.settings import RestoreSettings
from components.synthesize.settings import SynthesizeSettings
from components.train.settings import TrainSettings
from flows.operations.settings import PlatformSettings

PROFILES = Path(__file__).parent / "profiles"
REPOSITORY = Path(__file__).resolve().parent.parent
FROM_ENVIRONMENT = {
    f"LUCIDFLUX_{name.upper()}": name for name in ("objects", "mlflow", "dvc_remote", "state", "workers", "engine", "metrics")
}
"""Variables that stand for settings of the backend, stronger than a profile and weaker than --set."""


class BackendSettings(Settings):
    """Where to run, apart from what to run; empty means inside the home folder."""

    objects: str = ""
    """Object store: a folder or s3://bucket/prefix. Credentials come from the environment."""
    mlflow: str = ""
    """MLflow tracking URI; empty is SQLite inside the home."""
    dvc_remote: str = ""
    """DVC remote: a folder or s3://bucket/prefix."""
    state: str = ""
    """SQLAlchemy URL of the platform's own tables; empty is SQLite inside the home. Shown and hashed without its password."""
    weights: str = ""
    """Folder of third-party weights; empty is inside the home. LUCIDFLUX_WEIGHTS overrides it."""
    workers: Annotated[int, Field(gt=0)] = 2
    """Processes that decode and score."""
    engine: str = ""
    """Where they run: empty is this machine; `ray` starts a local Ray; `auto`, `ray://host:port` or `host:port` joins one."""
    metrics: str = ""
    """Where figures of a run go for Prometheus: the http address of a Pushgateway, or HOST:PORT to serve them there while the
    run lasts; empty is nowhere."""

    @field_serializer("state")
    def _shown(self, address: str) -> str:
        return without_password(address)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return self.model_dump().items()


class Profile(Settings):
    """Everything that can be set, stage by stage."""

    name: str
    base: str = "models/tiny"
    """Folder of the frozen parts, relative to the repository or absolute."""
    backend: BackendSettings = BackendSettings()
    platform: PlatformSettings = PlatformSettings()
    ingest: IngestSettings = IngestSettings()
    curate: CurateSettings = CurateSettings()
    synthesize: SynthesizeSettings = SynthesizeSettings()
    train: TrainSettings = TrainSettings()
    sampler: SamplerSettings = SamplerSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    benchmark: BenchmarkSettings = BenchmarkSettings()
    registry: RegisterSettings = RegisterSettings()
    promote: PromoteSettings = PromoteSettings()
    restore: RestoreSettings = RestoreSettings()

    @property
    def base_folder(self) -> Path:
        """Absolute folder of the frozen parts."""
        return (REPOSITORY / self.base).resolve()


def load(name: str = "tiny", overrides: Sequence[str] = ()) -> Profile:
    """Load a profile and apply `key=value` overrides.

    The environment (FROM_ENVIRONMENT) stands between the two.

    Args:
        name: a file of flows/profiles without its suffix, or a path to a TOML file.
        overrides: for example `train.steps=100`; values are TOML, a bare word is text.

    Raises:
        SettingsError: unknown profile or key (with a suggestion), or a value that does not fit.
    """
    values = _file(name, seen=())
    changes: dict[str, Any] = {}
    for override in overrides:
        _merge(changes, _parse(override))
    surroundings = {key: os.environ[name] for name, key in FROM_ENVIRONMENT.items() if os.environ.get(name)}
    _check_secrets({key: value for key, value in surroundings.items() if key != "state"})
    for written in (values, changes):
        _check_keys(written, Profile, prefix="")
        _check_secrets(written.get("backend", {}))
    for stronger in ({"backend": surroundings}, changes):
        _merge(values, stronger)
    values["name"] = Path(name).stem
    try:
        return Profile.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from error


def _file(name: str, seen: tuple[str, ...]) -> dict[str, Any]:
    path = Path(name) if name.endswith(".toml") else PROFILES / f"{name}.toml"
    if name in seen:
        raise SettingsError(f"Profiles extend each other in a circle: {' -> '.join((*seen, name))}.")
    if not path.is_file():
        known = [file.stem for file in PROFILES.glob("*.toml")]
        raise SettingsError(f"Unknown profile '{name}'.{suggest(name, known)}")
    try:
        values = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"Expected TOML in {path}: {error}.") from error
    parent = values.pop("extends", None)
    merged = _file(parent, (*seen, name)) if parent else {}
    _merge(merged, values)
    return merged


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _parse(override: str) -> dict[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise SettingsError(f"Expected key=value, got '{override}'. For example --set train.steps=100.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    nested: Any = value
    for part in reversed(key.strip().split(".")):
        nested = {part: nested}
    parsed: dict[str, Any] = nested
    return parsed


def _check_keys(values: Mapping[str, Any], model: type[BaseModel], *, prefix: str) -> None:
    for key, value in values.items():
        if key not in model.model_fields:
            raise SettingsError(f"Unknown setting '{prefix}{key}'.{suggest(key, list(model.model_fields))}")
        inner = model.model_fields[key].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            if not isinstance(value, Mapping):
                raise SettingsError(f"'{prefix}{key}' is a group of settings; set one of: {', '.join(inner.model_fields)}.")
            _check_keys(value, inner, prefix=f"{prefix}{key}.")


def _check_secrets(backend: Mapping[str, Any]) -> None:
    """Refuse a password where it is kept, shown and passed on."""
    for key, value in backend.items():
        if isinstance(value, str) and has_password(value):
            raise SettingsError(
                f"Expected no password in backend.{key}, where others can read it. Leave it out and set what the client of that "
                "server reads from the environment (PGPASSWORD; MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD); the "
                "state database's address may carry one in the variable LUCIDFLUX_STATE."
            )


def _sentence(error: ValidationError) -> str:
    wrong = [f"'{'.'.join(str(part) for part in item['loc'])}' = {item['input']!r}: {item['msg']}" for item in error.errors()]
    return f"Settings do not fit: {'; '.join(wrong)}."
