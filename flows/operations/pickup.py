"""After the server was away: runs whose process is gone are marked and started again.

While the server runs, automations do this. They cannot for what ended together with the server: Prefect keeps the order of
events in memory, and lets an event whose predecessor it has not seen wait for a quarter of an hour.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from components.records import content_hash
from flows.operations import processes
from flows.operations.automations import RESTARTED
from flows.operations.record import Platform

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

RUN_ID = "PREFECT__FLOW_RUN_ID"
"""In the environment of a flow run's process."""
MANY = 200


def pick_up(client: SyncPrefectClient, platform: Platform, started: Collection[str]) -> tuple[str, ...]:
    """Mark runs of deployments that no process of this machine carries out any more, and start those again that can go on.

    Args:
        client: of the server, which was just started.
        platform: of this machine, which alone may serve the server's work pools.
        started: services that were just started; what a worker that was not among them has taken is left to it.

    Returns:
        Names of the runs that were started again.
    """
    from prefect.states import Cancelled, Crashed

    living = {environment.get(RUN_ID) for environment in map(_environment, processes.marked(platform.token))}
    names = {deployment.id: deployment.name for deployment in client.read_deployments()}
    again: list[str] = []
    for run in _begun(client, platform.services["prefect"].started):
        deployment = names.get(run.deployment_id) if run.deployment_id else None
        waiting = run.state is not None and run.state.is_pending() and f"worker-{run.work_pool_name}" not in started
        if deployment is None or str(run.id) in living or waiting:
            continue
        if run.state is not None and run.state.is_cancelling():
            client.set_flow_run_state(run.id, Cancelled(message="its process is gone"), force=True)
            continue
        if run.state is None or not run.state.is_crashed():
            client.set_flow_run_state(run.id, Crashed(name="Interrupted", message="server and process were away"), force=True)
        if deployment in RESTARTED and run.deployment_id:
            key = content_hash("again", str(run.id))
            made = client.create_flow_run_from_deployment(run.deployment_id, parameters=run.parameters, idempotency_key=key)
            again.append(made.name)
    return tuple(again)


def _begun(client: SyncPrefectClient, since: float) -> list[FlowRun]:
    """Runs that have begun and not ended, and those that were marked as dead since a moment."""
    from prefect.client.schemas import filters, objects

    kinds = [objects.StateType(one) for one in ("RUNNING", "PENDING", "CANCELLING", "CRASHED")]
    chosen = filters.FlowRunFilter(
        state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=kinds)),
        parent_task_run_id=filters.FlowRunFilterParentTaskRunId(is_null_=True),
    )
    found = client.read_flow_runs(flow_run_filter=chosen, limit=MANY)
    return [run for run in found if run.state and (not run.state.is_crashed() or run.state.timestamp.timestamp() >= since)]


def _environment(process: Any) -> dict[str, str]:
    import psutil

    try:
        environment: dict[str, str] = process.environ()
    except (psutil.Error, OSError):
        return {}
    return environment
