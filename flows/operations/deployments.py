"""The deployments of prefect.yaml with a machine's settings, applied by Prefect's own command."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import yaml

from components.errors import SettingsError, WorkerError
from components.records import content_hash
from flows.operations.services import Plan, pools
from flows.operations.settings import PlatformSettings
from flows.settings import REPOSITORY
from flows.workspace import Workspace

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

SOURCE = REPOSITORY / "prefect.yaml"
ON_GPU = ("retrain", "restore-batch")
"""Deployments that run where a GPU is."""


def read() -> dict[str, Any]:
    """The contents of prefect.yaml."""
    contents: dict[str, Any] = yaml.safe_load(SOURCE.read_text())
    return contents


def configured(settings: PlatformSettings, given: Mapping[str, Any], *, pool: str = "cpu") -> dict[str, Any]:
    """Put a machine's settings into prefect.yaml.

    Args:
        settings: schedules, sources, zone.
        given: parameters that every flow takes, where they differ from the flows' own: profile, overrides.
        pool: work pool of what may use a GPU.

    Returns:
        Contents of a deployment file. Each deployment's version is a hash of what it says, so that one that is applied
        already is known.

    Raises:
        SettingsError: only one of restore_input and restore_output is set.
    """
    made = copy.deepcopy(read())
    made["pull"] = [{"prefect.deployments.steps.set_working_directory": {"directory": str(REPOSITORY)}}]
    for deployment in made["deployments"]:
        deployment["parameters"] = {**deployment.get("parameters", {}), **given}
        if deployment["name"] in ON_GPU:
            deployment["work_pool"]["name"] = pool
        for schedule in deployment["schedules"]:
            schedule["timezone"] = settings.time_zone or schedule["timezone"]
    named = {deployment["name"]: deployment for deployment in made["deployments"]}
    _retrain(named["retrain"], settings)
    _nightly(named["restore-batch"]["schedules"][0], settings)
    for deployment in made["deployments"]:
        deployment["version"] = content_hash(deployment, made["pull"])[:12]
    return made


def _retrain(deployment: dict[str, Any], settings: PlatformSettings) -> None:
    schedule = deployment["schedules"][0]
    schedule["cron"] = settings.retrain_cron or schedule["cron"]
    if settings.retrain_sources:
        deployment["parameters"]["sources"] = list(settings.retrain_sources)


def _nightly(schedule: dict[str, Any], settings: PlatformSettings) -> None:
    places = {"input_uri": settings.restore_input, "output_uri": settings.restore_output}
    if any(places.values()) and not all(places.values()):
        raise SettingsError(
            "Expected both platform.restore_input and platform.restore_output, or neither: the nightly run needs to know "
            "what to restore and where to put it."
        )
    schedule["cron"] = settings.restore_cron or schedule["cron"]
    if all(places.values()):
        schedule |= {"active": True, "parameters": places}


def parameters(profile: str, overrides: list[str]) -> dict[str, Any]:
    """What flows have to be told so that they run under the settings of the command line."""
    told: dict[str, Any] = {} if profile == "tiny" else {"profile": profile}
    return told | ({"overrides": overrides} if overrides else {})


def apply(client: SyncPrefectClient, workspace: Workspace, given: Mapping[str, Any], plan: Plan) -> dict[str, UUID]:
    """Make the server's deployments those of prefect.yaml and the settings; what is so already is left alone.

    Args:
        client: of the server.
        workspace: settings and home.
        given: see `configured`.
        plan: of the server, for its address and environment.

    Returns:
        Deployment -> its id.

    Raises:
        SettingsError: a setting does not fit, for example a zone that does not exist.
        WorkerError: Prefect refused.
    """
    wanted = configured(workspace.profile.platform, given, pool=pools()[-1])
    there = {deployment.name: deployment for deployment in client.read_deployments()}
    versions = {one["name"]: one["version"] for one in wanted["deployments"]}
    if any(name not in there or there[name].version != version for name, version in versions.items()):
        file = workspace.home / "prefect" / "deployments.yaml"
        file.write_text(json.dumps(wanted, indent=2))  # JSON is YAML
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env={**plan.environment, "PREFECT_API_URL": plan.address},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise WorkerError(f"Prefect did not take the deployments of {file}: {(done.stdout + done.stderr)[-2000:]}")
        there = {deployment.name: deployment for deployment in client.read_deployments()}
    return {name: there[name].id for name in versions}
