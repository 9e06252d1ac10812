"""What runs on this machine now, what ran last, and what needs somebody to look."""

from __future__ import annotations

import importlib.metadata
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import lookup
from components.records import Record
from flows.layout import columns, when
from flows.operations import record
from flows.operations.control import connected
from flows.operations.services import ANSWER_SECONDS

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

RUNS = 8
"""Newest flow runs that are shown."""
RECENT = timedelta(days=1)
MANY = 200
"""Runs of a day that are looked at."""
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


class DeploymentStatus(Record):
    """One deployment."""

    deployment: str
    pool: str
    schedule: str
    """Cron and zone of each schedule, or `on demand`."""
    next: str
    """When it runs next; empty when nothing is planned."""


class RunStatus(Record):
    """One flow run."""

    name: str
    flow: str
    state: str
    began: str
    seconds: float
    message: str


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
        deployments, runs = tuple(_deployments(client)), tuple(_runs(client))
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


def _deployments(client: SyncPrefectClient) -> Iterator[DeploymentStatus]:
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
    from prefect.client.schemas.sorting import FlowRunSort

    for deployment in sorted(client.read_deployments(), key=lambda one: one.name):
        planned = client.read_flow_runs(
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[deployment.name])),
            flow_run_filter=_in_states("SCHEDULED"),
            sort=FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC,
            limit=1,
        )
        schedules = [
            f"{getattr(one.schedule, 'cron', '?')} {getattr(one.schedule, 'timezone', '')}{'' if one.active else ' (inactive)'}"
            for one in deployment.schedules
        ]
        yield DeploymentStatus(
            deployment=deployment.name,
            pool=deployment.work_pool_name or "",
            schedule=", ".join(schedules) or "on demand",
            next=_moment(planned[0].next_scheduled_start_time) if planned else "",
        )


def _runs(client: SyncPrefectClient) -> Iterator[RunStatus]:
    from prefect.client.schemas.sorting import FlowRunSort

    flows: dict[Any, str] = {}
    for run in client.read_flow_runs(flow_run_filter=_own(), sort=FlowRunSort.START_TIME_DESC, limit=RUNS):
        if run.flow_id not in flows:
            flows[run.flow_id] = client.read_flow(run.flow_id).name
        message = (run.state.message or "") if run.state else ""
        yield RunStatus(
            name=run.name,
            flow=flows[run.flow_id],
            state=run.state_name or "",
            began=_moment(run.start_time),
            seconds=round(run.total_run_time.total_seconds(), 1),
            message=message.splitlines()[0][:100] if message else "",
        )


def _worries(client: SyncPrefectClient) -> Iterator[Alarm]:
    from flows.operations.automations import RESTART

    if late := client.read_flow_runs(flow_run_filter=_in_states(names=["Late"]), limit=RUNS):
        yield _alarm("runs-late", f"{_names(late)} should have begun")
    if ended := _badly(client):
        yield _alarm("runs-failed", f"{_names(ended)} ended badly within a day")
    if any(not automation.enabled for automation in client.read_automations_by_name(RESTART)):
        yield _alarm("restarts-paused", "crashed runs are not started again")


def _badly(client: SyncPrefectClient) -> list[FlowRun]:
    """Runs of the last day that failed or crashed; not those that were started again and did not end badly then."""
    from prefect.client.schemas.sorting import FlowRunSort

    recent = client.read_flow_runs(
        flow_run_filter=_own(since=datetime.now(UTC) - RECENT), sort=FlowRunSort.START_TIME_DESC, limit=MANY
    )
    settled: list[tuple[Any, Any]] = []
    found: list[FlowRun] = []
    for run in recent:
        job = (run.deployment_id, run.parameters)
        if run.state is None or not (run.state.is_failed() or run.state.is_crashed()):
            settled.append(job)
        elif job not in settled or run.deployment_id is None:
            found.append(run)
    return found[:RUNS]


def _in_states(*types: str, names: list[str] | None = None) -> Any:
    """Filter runs by type or name of their state."""
    from prefect.client.schemas import filters, objects

    state = filters.FlowRunFilterState(
        type=filters.FlowRunFilterStateType(any_=[objects.StateType(one) for one in types]) if types else None,
        name=filters.FlowRunFilterStateName(any_=names) if names else None,
    )
    return filters.FlowRunFilter(state=state)


def _own(since: datetime | None = None) -> Any:
    """Filter runs that have begun, after a moment, and are not part of another run."""
    from prefect.client.schemas import filters

    began: dict[str, Any] = {"after_": since} if since else {"is_null_": False}
    return filters.FlowRunFilter(
        parent_task_run_id=filters.FlowRunFilterParentTaskRunId(is_null_=True),
        start_time=filters.FlowRunFilterStartTime(**began),
    )


def _names(runs: list[FlowRun]) -> str:
    return ", ".join(run.name for run in runs)


def _moment(moment: datetime | None) -> str:
    return when(moment.timestamp()) if moment else ""


def _alarm(name: str, said: str) -> Alarm:
    return Alarm(alarm=name, said=said, do=ALARMS[name])


def _table(kind: type[Record], rows: tuple[Record, ...]) -> str:
    names = list(kind.model_fields)
    cells = [[str(getattr(row, name)) for name in names] for row in rows]
    return columns([[name.upper() for name in names], *cells]) if rows else ""
