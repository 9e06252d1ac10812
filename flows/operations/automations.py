"""What Prefect does by itself: mark dead runs, start them again, judge new challengers, stop when it keeps happening."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.events.actions import ChangeFlowRunState, PauseAutomation, RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from components.records import canonical_json, content_hash

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import Automation

CHALLENGER_EVENT = "lucidflux.challenger"
"""What Prefect hears when `retrain` has registered a new version."""
DEAD_SECONDS = 90
"""Three missed heartbeats. With Prefect's own delays a dead run is marked within two minutes."""
START_SECONDS = 300
"""How long a run may take from being handed to a worker to running; a laden machine imports for a minute."""
RESTARTED = ("restore-batch", "retrain")
"""Deployments whose runs go on where a killed one stopped."""
STORM_CRASHES, STORM_SECONDS = 20, 3600
"""So many crashes in so many seconds are no accident: nothing is started again until someone has looked."""

DEAD, STUCK = "lucidflux: mark dead runs", "lucidflux: mark runs that never started"
RESTART, STORM = "lucidflux: start crashed runs again", "lucidflux: stop restarting what keeps crashing"
JUDGE = "lucidflux: judge a new challenger"

_HEARTBEAT = "prefect.flow-run.heartbeat"
_ENDS = {f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "Cancelled", "Skipped")}
"""Without `Crashed`: on SQLite, Prefect 3.8 may lose an event that ends a wait (it reads and then writes in one transaction,
and gives up after four tries), and then nothing would be started again. A run that is marked already is not marked twice."""
_RUNS = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
_SAME = {
    "__prefect_kind": "json",
    "value": {
        "__prefect_kind": "jinja",
        "template": "{{ (dict(flow_run.parameters, job=flow_run.parameters.get('job') or 'run:' ~ flow_run.id) "
        "if 'output_uri' in flow_run.parameters else flow_run.parameters) | tojson }}",
    },
}
"""All parameters of the run that crashed. A batch goes on with its own job, hence with the version that its alias meant then."""


def apply(client: SyncPrefectClient, deployments: Mapping[str, UUID]) -> dict[str, UUID]:
    """Make the server's automations those below, each once; what is so already is left alone, what was paused goes on.

    Args:
        client: of the server.
        deployments: name -> id.

    Returns:
        Automation -> its id.
    """
    made = {automation.name: _ensure(client, automation) for automation in (_dead(), _stuck(), _restart())}
    rest = (_storm(made[RESTART]), _judge(deployments["promote"]))
    return made | {automation.name: _ensure(client, automation) for automation in rest}


def _ensure(client: SyncPrefectClient, wanted: AutomationCore) -> UUID:
    """Create or correct one.

    Its description ends with a hash of what it does, because the server adds fields of its own. An update makes the server
    forget which runs it is waiting for, so there is none without need.
    """
    stamp = content_hash(_ordered(wanted.model_dump(mode="json")))[:12]
    wanted = wanted.model_copy(update={"description": f"{wanted.description} [{stamp}]"})
    there: list[Automation] = client.read_automations_by_name(wanted.name)
    for spare in there[1:]:
        client.delete_automation(spare.id)
    if not there:
        return client.create_automation(wanted)
    if there[0].description != wanted.description:
        client.update_automation(there[0].id, wanted)
    elif not there[0].enabled:
        client.resume_automation(there[0].id)
    return there[0].id


def _ordered(value: Any) -> Any:
    """The same with every list sorted: sets have no order of their own."""
    if isinstance(value, dict):
        return {name: _ordered(one) for name, one in value.items()}
    return sorted((_ordered(one) for one in value), key=canonical_json) if isinstance(value, list) else value


def _dead() -> AutomationCore:
    return AutomationCore(
        name=DEAD,
        description=f"No sign of life for {DEAD_SECONDS} s: the process is gone.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after={_HEARTBEAT, "prefect.flow-run.Running"},  # a run can die before its first sign of life
            expect={_HEARTBEAT, *_ENDS},
            match=_RUNS,
            for_each={"prefect.resource.id"},
            threshold=1,
            within=timedelta(seconds=DEAD_SECONDS),
        ),
        actions=[ChangeFlowRunState(state="CRASHED", message=f"no heartbeat for {DEAD_SECONDS} s; the process is gone")],
    )


def _stuck() -> AutomationCore:
    # heartbeats too: of several events one comes through
    going_on = {f"prefect.flow-run.{name}" for name in ("Running", "AwaitingConcurrencySlot", "Scheduled", "Cancelling")}
    return AutomationCore(
        name=STUCK,
        description=f"Handed to a worker and not running after {START_SECONDS} s: the worker is gone.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after={"prefect.flow-run.Pending"},
            expect={_HEARTBEAT, *going_on, *_ENDS},
            match=_RUNS,
            for_each={"prefect.resource.id"},
            threshold=1,
            within=timedelta(seconds=START_SECONDS),
        ),
        actions=[ChangeFlowRunState(state="CRASHED", message=f"not running {START_SECONDS} s after a worker took it")],
    )


def _crashes(threshold: int, seconds: int) -> EventTrigger:
    return EventTrigger(
        posture=Posture.Reactive,
        expect={"prefect.flow-run.Crashed"},
        match=_RUNS,
        match_related=ResourceSpecification(
            {"prefect.resource.role": "deployment", "prefect.resource.name": list(RESTARTED)},
        ),
        threshold=threshold,
        within=timedelta(seconds=seconds),
    )


def _restart() -> AutomationCore:
    return AutomationCore(
        name=RESTART,
        description="A run that crashed is started again with all its parameters; it goes on where the other stopped.",
        trigger=_crashes(1, 0),
        actions=[RunDeployment(source="inferred", parameters=_SAME)],
    )


def _storm(restart: UUID) -> AutomationCore:
    return AutomationCore(
        name=STORM,
        description=f"{STORM_CRASHES} crashes within {STORM_SECONDS} s: restarts pause until lucidflux up is run.",
        trigger=_crashes(STORM_CRASHES, STORM_SECONDS),
        actions=[PauseAutomation(source="selected", automation_id=restart)],
    )


def _judge(promote: UUID) -> AutomationCore:
    return AutomationCore(
        name=JUDGE,
        description="A new challenger goes through the gates.",
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={CHALLENGER_EVENT},
            match=ResourceSpecification({"prefect.resource.id": "lucidflux.model.*"}),
            threshold=1,
            within=timedelta(0),
        ),
        actions=[
            RunDeployment(source="selected", deployment_id=promote, parameters={"version": "{{ event.payload['version'] }}"})
        ],
    )
