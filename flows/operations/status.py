"""What runs on this machine now, what ran last, and what needs somebody to look."""

from __future__ import annotations

import importlib.metadata
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import lookup
from components.records import Record
from flows.layout import columns, when
from flows.operations import history, record
from flows.operations.control import connected
from flows.operations.history import DeploymentStatus, RunStatus
from flows.operations.services import ANSWER_SECONDS

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

FREE_GIB = 5
"""Less room than this is an alarm."""

ALARMS = {
    "service-down": "lucidflux up starts it again; lucidflux logs SERVICE says why it ended",
    "runs-late": "no worker takes them: lucidflux up, or lucidflux logs worker-cpu",
    "runs-failed": "their last lines: prefect flow-run logs NAME, or the Prefect page",
    "restarts-paused": "runs crash again and again; look at their logs, then lucidflux up lets restarts go on",
    "disk-low": "make room in the home, or move backend.objects elsewhere",
}
"""Alarm -> what to do first; docs/operations.md has the rest."""


class ServiceStatus(Record):
    """One line of the table of services."""

    service: str
    state: str
    """`running`, `not answering` or `down`."""
    address: str
    since: str
    version: str


class Alarm(Record):
    """Something that a person should look at."""

    alarm: str
    said: str
    do: str


class Status(Record):
    """Everything that `lucidflux status` says."""

    services: tuple[ServiceStatus, ...]
    deployments: tuple[DeploymentStatus, ...] = ()
    runs: tuple[RunStatus, ...] = ()
    alarms: tuple[Alarm, ...] = ()

    def text(self) -> str:
        """Tables for a terminal."""
        if not self.services:
            return "Nothing was started in this home. Start it: lucidflux up"
        blocks = [
            _table(ServiceStatus, self.services),
            _table(DeploymentStatus, self.deployments),
            _table(RunStatus, self.runs),
        ]
        alarms = [f"ALARM {alarm.alarm}: {alarm.said}. {alarm.do}" for alarm in self.alarms]
        return "\n\n".join([*filter(None, blocks), *(["\n".join(alarms)] if alarms else [])])


def look(home: Path) -> Status:
    """Look at processes and, where it answers, at the Prefect server; changes nothing."""
    platform = record.load(home)
    if platform is None or not platform.services:
        return Status(services=())
    services = tuple(_service(platform, name) for name in platform.services)
    state = {service.service: service.state for service in services}
    alarms = [_alarm("service-down", f"{name} is {said}") for name, said in state.items() if said != "running"]
    free_gib = shutil.disk_usage(home).free / 2**30
    if free_gib < FREE_GIB:
        alarms.append(_alarm("disk-low", f"{free_gib:.1f} GiB are free at {home}"))
    if state.get("prefect") != "running":
        return Status(services=services, alarms=tuple(alarms))
    with connected(platform.services["prefect"].address) as client:
        deployments, runs = tuple(history.deployments(client)), tuple(history.runs(client))
        alarms.extend(_worries(client))
    return Status(services=services, deployments=deployments, runs=runs, alarms=tuple(alarms))


def log(home: Path, service: str) -> Path:
    """File of a service's output.

    Raises:
        UnknownName: the home has no log of that name.
    """
    known = {path.stem: path for path in sorted((home / "logs").glob("*.log"))}
    return lookup(known, service, kind="service")


def _service(platform: record.Platform, name: str) -> ServiceStatus:
    service, alive = platform.services[name], platform.process(name) is not None
    state = "running" if alive and _answers(service.address) else "not answering" if alive else "down"
    return ServiceStatus(
        service=name,
        state=state,
        address=service.address,
        since=when(service.started) if alive else "",
        version=importlib.metadata.version("mlflow" if name == "mlflow" else "prefect"),
    )


def _answers(address: str) -> bool:
    if not address:
        return True
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=ANSWER_SECONDS):  # noqa: S310 (our own address)
            return True
    except (urllib.error.URLError, OSError):
        return False


def _worries(client: SyncPrefectClient) -> Iterator[Alarm]:
    from flows.operations.automations import RESTART

    if late := history.late(client):
        yield _alarm("runs-late", f"{history.names(late)} should have begun")
    if ended := history.badly(client):
        yield _alarm("runs-failed", f"{history.names(ended)} ended badly within a day")
    if any(not automation.enabled for automation in client.read_automations_by_name(RESTART)):
        yield _alarm("restarts-paused", "crashed runs are not started again")


def _alarm(name: str, said: str) -> Alarm:
    return Alarm(alarm=name, said=said, do=ALARMS[name])


def _table(kind: type[Record], rows: tuple[Record, ...]) -> str:
    names = list(kind.model_fields)
    cells = [[str(getattr(row, name)) for name in names] for row in rows]
    return columns([[name.upper() for name in names], *cells]) if rows else ""
