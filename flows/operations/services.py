"""The services of one machine: how each is started, and how it is seen to be well."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from components.errors import SettingsError
from flows.environment import HEARTBEAT_SECONDS
from flows.operations.processes import SERVICE, TOKEN
from flows.operations.record import Platform
from flows.settings import REPOSITORY
from flows.workspace import Workspace

DATABASE_SECONDS = 60
"""How long Prefect waits for SQLite, which has one writer at a time."""
REMEMBER = "P30D"
"""How long Prefect remembers that it waits for a run. After its usual minute, one that died while the server was away is
forgotten and stays `Running` for ever."""
ANSWER_SECONDS = 5.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")
PREFECT_PASSWORD = "PREFECT_SERVER_API_AUTH_STRING"  # noqa: S105 (names of variables)
CLIENT_PASSWORD = "PREFECT_API_AUTH_STRING"  # noqa: S105


@dataclass(frozen=True)
class Plan:
    """How to start a service."""

    name: str
    words: tuple[str, ...]
    """Arguments of the Python interpreter; the service is known by them again."""
    environment: Mapping[str, str]
    address: str = ""
    health: str = ""
    """Address that answers when the service is well; empty when it has none."""
    needs: tuple[str, ...] = field(default=())
    """Services that have to be well before."""

    @property
    def command(self) -> list[str]:
        """Program and arguments."""
        return [sys.executable, *self.words]


def plans(workspace: Workspace, platform: Platform) -> list[Plan]:
    """Say what runs on this machine, in the order of starting.

    Args:
        workspace: profile and home.
        platform: with its ports chosen.

    Raises:
        SettingsError: servers are to be seen by others, without a password.
    """
    _guard(workspace)
    environment = _environment(workspace, platform)
    prefect = _prefect(workspace, platform, environment)
    mlflow = [] if external(workspace) else [_mlflow(workspace, platform, environment)]
    return [prefect, *mlflow, *(_worker(workspace, pool, prefect, environment) for pool in pools())]


def password() -> str | None:
    """USER:PASSWORD of the Prefect server; None where it asks for none."""
    return os.environ.get(CLIENT_PASSWORD) or os.environ.get(PREFECT_PASSWORD) or None


def pools() -> tuple[str, ...]:
    """Names of the work pools of this machine."""
    return ("cpu", "gpu") if gpus() else ("cpu",)


def gpus() -> int:
    """NVIDIA GPUs that the driver lists."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    listed = subprocess.run([tool, "-L"], capture_output=True, text=True, check=False)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines()) if listed.returncode == 0 else 0


def external(workspace: Workspace) -> bool:
    """Whether MLflow is a server that somebody else runs."""
    return workspace.profile.backend.mlflow.startswith("http")


def well(plan: Plan) -> bool:
    """Whether a server answers."""
    if not plan.health:
        return True
    try:
        with urllib.request.urlopen(plan.health, timeout=ANSWER_SECONDS):  # noqa: S310 (our own address)
            return True
    except (urllib.error.URLError, OSError):
        return False


def databases(workspace: Workspace) -> tuple[str, str]:
    """SQLAlchemy URLs of Prefect and MLflow: SQLite inside the home, or databases beside the one of backend.state.

    Raises:
        SettingsError: backend.state is neither SQLite nor PostgreSQL.
    """
    state, home = workspace.profile.backend.state, workspace.home
    kind, _, place = state.partition("://")
    if not state or kind.startswith("sqlite"):
        return f"sqlite+aiosqlite:///{home / 'prefect' / 'prefect.db'}", f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"
    if not kind.startswith("postgresql"):
        raise SettingsError(f"Expected SQLite or PostgreSQL as backend.state, got {kind}.")
    base, _, options = place.partition("?")
    server, _, name = base.rpartition("/")
    tail = f"?{options}" if options else ""
    return f"postgresql+asyncpg://{server}/{name}_prefect{tail}", f"{kind}://{server}/{name}_mlflow{tail}"


def _guard(workspace: Workspace) -> None:
    host = workspace.profile.platform.host
    if host not in LOOPBACK and not os.environ.get(PREFECT_PASSWORD):
        raise SettingsError(
            f"Expected {PREFECT_PASSWORD}=USER:PASSWORD in the environment, because platform.host={host} lets other machines "
            "reach the servers. Set it, or leave platform.host at 127.0.0.1."
        )


def _environment(workspace: Workspace, platform: Platform) -> dict[str, str]:
    """What every process gets: the caller's environment, but nothing that points to another platform."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PREFECT_") or name.endswith("AUTH_STRING")}
    home = workspace.home
    path = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
    secret = password()
    return (
        kept
        | ({CLIENT_PASSWORD: secret} if secret else {})
        | {
            TOKEN: platform.token,
            "LUCIDFLUX_HOME": str(home),
            "PYTHONPATH": path,
            "PYTHONUNBUFFERED": "1",
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_LOCAL_STORAGE_PATH": str(home / "prefect" / "results"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_CLI_COLORS": "false",
        }
    )


def _reached(host: str) -> str:
    """Address by which this machine itself reaches a server."""
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 (compared, not bound)


def _prefect(workspace: Workspace, platform: Platform, environment: Mapping[str, str]) -> Plan:
    port = platform.ports["prefect"]
    address = f"http://{_reached(platform.host)}:{port}/api"
    own = {
        SERVICE: "prefect",
        "PREFECT_API_DATABASE_CONNECTION_URL": databases(workspace)[0],
        "PREFECT_API_DATABASE_TIMEOUT": str(DATABASE_SECONDS),
        "PREFECT_EVENTS_EXPIRED_BUCKET_BUFFER": REMEMBER,
    }
    words = ("-m", "prefect", "server", "start", "--host", platform.host, "--port", str(port))
    return Plan("prefect", words, {**environment, **own}, address, f"{address}/health")


def _mlflow(workspace: Workspace, platform: Platform, environment: Mapping[str, str]) -> Plan:
    port, objects = platform.ports["mlflow"], workspace.profile.backend.objects
    address = f"http://127.0.0.1:{port}"
    store = workspace.profile.backend.mlflow or databases(workspace)[1]
    # artifacts keep addresses that also mean something while no server runs
    root = f"{objects.rstrip('/')}/mlflow" if "://" in objects else (workspace.home / "mlflow" / "artifacts").as_uri()
    own = {
        SERVICE: "mlflow",
        "MLFLOW_BACKEND_STORE_URI": store,  # not on the command line, which everybody can read
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": root,
        # eight more processes of 180 MB, for language models
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    words = ("-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--no-serve-artifacts")
    return Plan("mlflow", words, {**environment, **own}, address, f"{address}/health")


def _worker(workspace: Workspace, pool: str, prefect: Plan, environment: Mapping[str, str]) -> Plan:
    name = f"worker-{pool}"
    own = {
        SERVICE: name,
        "PREFECT_API_URL": prefect.address,
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": HEARTBEAT_SECONDS,
    }
    runs = workspace.profile.platform.runs if pool != "gpu" else gpus()
    words = ("-m", "prefect", "worker", "start", "--pool", pool, "--name", name, "--type", "process", "--limit", str(runs))
    return Plan(name, words, {**environment, **own}, needs=("prefect",))


def log_of(home: Path, name: str) -> Path:
    """File of a service's output."""
    return home / "logs" / f"{name}.log"
