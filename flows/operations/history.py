"""What the Prefect server says of deployments and flow runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from components.records import Record
from flows.layout import when

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

RUNS = 8
"""Newest flow runs that are shown."""
RECENT = timedelta(days=1)
MANY = 200
"""Runs of a day that are looked at."""


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


def deployments(client: SyncPrefectClient) -> Iterator[DeploymentStatus]:
    """Every deployment, with what is planned next."""
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


def runs(client: SyncPrefectClient) -> Iterator[RunStatus]:
    """The newest runs that are not part of another one."""
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


def badly(client: SyncPrefectClient) -> list[FlowRun]:
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


def late(client: SyncPrefectClient) -> list[FlowRun]:
    """Runs that should have begun."""
    return client.read_flow_runs(flow_run_filter=_in_states(names=["Late"]), limit=RUNS)


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


def names(found: list[FlowRun]) -> str:
    """Their names, for a sentence."""
    return ", ".join(run.name for run in found)


def _moment(moment: datetime | None) -> str:
    return when(moment.timestamp()) if moment else ""
