"""The platform of one machine in a home of its own, as its command line and Prefect's clients see it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.client.schemas.objects import FlowRun

from flows.operations import processes, record
from flows.operations.control import connected
from tests.e2e.conftest import ROOT, environment, run

LIMIT_SECONDS = 240
"""Far more than anything takes that works; a laden machine is slow."""


def until(met: Callable[[], Any], what: str, seconds: float = LIMIT_SECONDS) -> Any:
    """Wait for something to be true, and give it."""
    end = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.2)
    return found


@dataclass
class Machine:
    """One home and what runs for it."""

    home: Path
    settings: dict[str, str]

    def verb(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        return run(self.home, *words, settings=self.settings)

    def told(self, *words: str) -> dict[str, Any]:
        """Run it and give its record."""
        done = self.verb(*words)
        assert done.stdout, done.stderr[-3000:]
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    def up(self) -> dict[str, Any]:
        """Start what does not run."""
        return self.told("up")

    @property
    def platform(self) -> record.Platform:
        """What the home remembers."""
        platform = record.load(self.home)
        assert platform is not None
        return platform

    def marked(self) -> list[psutil.Process]:
        """Every process of the platform."""
        return processes.marked(self.platform.token)

    def flow_processes(self, run_id: UUID) -> list[psutil.Process]:
        """Processes of one flow run."""
        return [process for process in self.marked() if process.environ().get("PREFECT__FLOW_RUN_ID") == str(run_id)]

    def client(self) -> Any:
        """A client of its Prefect server."""
        return connected(self.platform.services["prefect"].address)

    def begin(self, name: str, parameters: dict[str, Any]) -> UUID:
        """Have a deployment run, and give the id of the run."""
        with self.client() as client:
            (deployment,) = [one for one in client.read_deployments() if one.name == name]
            made: UUID = client.create_flow_run_from_deployment(deployment.id, parameters=parameters).id
            return made

    def state(self, run_id: UUID) -> Any:
        """State of a run."""
        with self.client() as client:
            return client.read_flow_run(run_id).state

    def runs(self, name: str) -> list[FlowRun]:
        """Runs of a deployment that are not merely planned, the newest first."""
        chosen = DeploymentFilter(name=DeploymentFilterName(any_=[name]))
        with self.client() as client:
            found = client.read_flow_runs(deployment_filter=chosen, limit=200)
        return sorted((one for one in found if not one.auto_scheduled), key=lambda one: one.created, reverse=True)

    def restarted(self, name: str, run_id: UUID) -> FlowRun:
        """The run that an automation started after another one."""
        (before,) = [one for one in self.runs(name) if one.id == run_id]
        later = until(lambda: [one for one in self.runs(name) if one.created > before.created], "started again")
        found: FlowRun = later[-1]
        return found

    def prefect(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run Prefect's own command line against the server."""
        where = {**environment(), "PREFECT_API_URL": self.platform.services["prefect"].address, "PREFECT_HOME": str(self.home)}
        line = [sys.executable, "-m", "prefect", *words]
        return subprocess.run(line, cwd=ROOT, env=where, capture_output=True, text=True, check=False)
