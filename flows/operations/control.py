"""`up` and `down`: everything of one machine is started, completed, repaired or ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from components.errors import WorkerError
from components.records import Record
from flows.operations import ports, processes, record
from flows.operations.record import Platform
from flows.operations.services import LOOPBACK, Plan, gpus, log_of, password, plans, well
from flows.operations.slots import GPU
from flows.workspace import Workspace

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

START_SECONDS = 300.0
"""A server that does not answer by then is not coming; the first start of MLflow's tables can take a minute."""
LOOK_SECONDS = 0.5
WATCH_SECONDS = 10.0
STOP_SECONDS = 40.0
"""A worker ends its flow runs first and gives each of them half a minute."""
TAIL_LINES = 15

Say = Callable[[str], None]


class Started(Record):
    """What `up` did."""

    started: tuple[str, ...]
    """Services that did not run before."""
    addresses: dict[str, str]
    deployments: tuple[str, ...]
    automations: tuple[str, ...]

    def text(self) -> str:
        """Say it."""
        did = f"Started {', '.join(self.started)}." if self.started else "Everything runs already."
        servers = [f"{name:8}{address}" for name, address in self.addresses.items()]
        ready = f"Deployments: {', '.join(self.deployments)}; {len(self.automations)} automations."
        return "\n".join([did, *servers, ready, "Next: lucidflux status"])


class Stopped(Record):
    """What `down` ended."""

    services: tuple[str, ...]
    processes: int
    """All of them, flow runs and other children included."""

    def text(self) -> str:
        """Say it."""
        if not self.processes:
            return "Nothing was running."
        return f"Stopped {', '.join(self.services) or 'what was left'}: {self.processes} processes. Start again: lucidflux up"


def up(workspace: Workspace, given: dict[str, Any], say: Say) -> Started:
    """Start what does not run, and make pools, limits, deployments and automations what they should be.

    Args:
        workspace: profile and home.
        given: parameters of the flows; see deployments.configured.
        say: told what is being waited for.

    Raises:
        SettingsError: a setting does not fit.
        WorkerError: a service ended or did not answer; its last lines are quoted.
    """
    with record.exclusive(workspace.home):
        platform, started = revive(workspace, say)
        planned = plans(workspace, platform)
        with connected(planned[0].address) as client:
            made = _apply(client, workspace, given, planned[0])
            _pick_up(client, platform, started, say)
    addresses = {plan.name: plan.address for plan in planned if plan.address}
    return Started(started=started, addresses=addresses, deployments=made[0], automations=made[1])


def revive(workspace: Workspace, say: Say) -> tuple[Platform, tuple[str, ...]]:
    """Start what does not run, and wait until all of it is well. Only who holds the home's lock may.

    Returns:
        What runs, and the names of what was started.
    """
    platform = ports.prepared(workspace)
    started: list[str] = []
    planned = plans(workspace, platform)
    for plan in planned:
        for needed in planned:
            if needed.name in plan.needs:
                _wait(workspace, platform, needed)
        if plan.name.startswith("worker"):
            _pool(planned[0].address, plan.name.removeprefix("worker-"))
        if platform.process(plan.name) is None:
            say(f"starting {plan.name}; its log is {log_of(workspace.home, plan.name)}")
            platform = record.save(workspace.home, _start(workspace, platform, plan))
            started.append(plan.name)
    for plan in planned:
        _wait(workspace, platform, plan)
    return platform, tuple(started)


def watch(workspace: Workspace, say: Say) -> None:
    """Start again what ends, until `down` is called or this process is ended. Deployments are left as they are."""
    while True:
        time.sleep(WATCH_SECONDS)
        with record.exclusive(workspace.home):
            platform = record.load(workspace.home)
            if platform is None or not platform.services:
                say("stopped by lucidflux down")
                return
            if any(platform.process(name) is None for name in platform.services):
                try:
                    platform, started = revive(workspace, say)
                    with connected(platform.services["prefect"].address) as client:
                        _pick_up(client, platform, started, say)
                except WorkerError as error:
                    say(str(error))  # tried again at the next look


def down(workspace: Workspace) -> Stopped:
    """End workers and their flow runs, then servers, and whatever else carries the home's token."""
    home = workspace.home
    with record.exclusive(home):
        platform = record.load(home)
        if platform is None:
            return Stopped(services=(), processes=0)
        alive = {name: process for name in platform.services if (process := platform.process(name))}
        before = len(processes.marked(platform.token))
        workers = [name for name in platform.services if name.startswith("worker")]
        processes.stop([alive[name] for name in workers if name in alive], STOP_SECONDS)
        for name in workers:  # flow runs, also of a worker that was killed
            processes.stop(processes.marked(platform.token, name), STOP_SECONDS)
        processes.stop([process for name, process in alive.items() if name not in workers], STOP_SECONDS)
        processes.stop(processes.marked(platform.token), STOP_SECONDS)
        record.save(home, platform.model_copy(update={"services": {}}))
    return Stopped(services=tuple(alive), processes=before)


@contextmanager
def connected(address: str) -> Iterator[SyncPrefectClient]:
    """Open a client of a Prefect server, whatever the environment says."""
    from prefect.client.orchestration import SyncPrefectClient

    with SyncPrefectClient(address, auth_string=password()) as client:
        yield client


def _pick_up(client: SyncPrefectClient, platform: Platform, started: tuple[str, ...], say: Say) -> None:
    """See `pickup`; workers of other machines, which only a server that others reach can have, know their own runs."""
    if "prefect" in started and platform.host in LOOPBACK:
        from flows.operations.pickup import pick_up

        if again := pick_up(client, platform, started):
            say(f"started again what was interrupted: {', '.join(again)}")


def _start(workspace: Workspace, platform: Platform, plan: Plan) -> Platform:
    """Start a service; one that a killed `up` started and could not write down makes room first, its flow runs go on."""
    processes.stop([one for one in processes.marked(platform.token, plan.name) if processes.runs(one, plan.words)], STOP_SECONDS)
    (workspace.home / "prefect").mkdir(exist_ok=True)
    (workspace.home / "mlflow").mkdir(exist_ok=True)
    process = processes.start(plan.command, plan.environment, log_of(workspace.home, plan.name), workspace.home)
    return record.with_service(platform, plan.name, process, plan.words, plan.address)


def _wait(workspace: Workspace, platform: Platform, plan: Plan) -> None:
    """Wait until a service is well.

    Raises:
        WorkerError: it ended, or time ran out.
    """
    until = time.monotonic() + START_SECONDS
    while not (_online(platform, plan) if plan.name.startswith("worker") else well(plan)):
        ended = platform.process(plan.name) is None
        if ended or time.monotonic() > until:
            log = log_of(workspace.home, plan.name)
            last = "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
            what = "ended" if ended else f"did not answer within {START_SECONDS:.0f} s"
            raise WorkerError(f"{plan.name} {what}. The end of {log}:\n{last}")
        time.sleep(LOOK_SECONDS)


def _online(platform: Platform, plan: Plan) -> bool:
    """Whether the server has heard from a worker since that was started."""
    with connected(platform.services["prefect"].address) as client:
        response = client.request(
            "POST", "/work_pools/{work_pool_name}/workers/filter", path_params={"work_pool_name": plan.name.split("-")[1]}
        )
    started = platform.services[plan.name].started
    return any(one["name"] == plan.name and _seconds(one["last_heartbeat_time"]) >= started for one in response.json())


def _seconds(moment: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(moment).timestamp()


def _pool(address: str, name: str) -> None:
    """Make a work pool if there is none; what an operator changed about one stays."""
    from prefect.client.schemas.actions import WorkPoolCreate

    with connected(address) as client:
        if name not in {pool.name for pool in client.read_work_pools()}:
            client.create_work_pool(WorkPoolCreate(name=name, type="process"))


def _apply(
    client: SyncPrefectClient, workspace: Workspace, given: dict[str, Any], plan: Plan
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    from flows.operations import automations, deployments

    client.upsert_global_concurrency_limit_by_name(GPU, max(1, gpus()))
    made = deployments.apply(client, workspace, given, plan)
    return tuple(made), tuple(automations.apply(client, made))
