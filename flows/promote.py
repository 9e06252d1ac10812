"""Flows `promote` and `rollback`: gates, alias `champion`, an entry in the ledger."""

from __future__ import annotations

import getpass

from prefect import flow
from prefect.artifacts import create_table_artifact

from components.records import ModelVersion
from flows import tasks
from flows.workspace import open_workspace


@flow(name="promote")
def promote(version: str, profile: str = "tiny", overrides: list[str] | None = None, home: str = "") -> ModelVersion:
    """Put a version through every gate and make it the champion.

    Args:
        version: number, `NAME/number` or `NAME@alias`.
        profile: name of a profile.
        overrides: `key=value` settings.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
    """
    workspace = open_workspace(profile, overrides, home)
    name = version if "@" in version or "/" in version else f"{workspace.profile.registry.model}/{version}"
    promoted = tasks.run(tasks.promote_version, workspace, name, getpass.getuser())
    table = [gate.model_dump(mode="json") for gate in promoted.gates]
    create_table_artifact(table, key="gates", description=f"{promoted.name}/{promoted.version} is @{promoted.alias}")
    return promoted


@flow(name="rollback")
def rollback(reason: str, profile: str = "tiny", overrides: list[str] | None = None, home: str = "") -> ModelVersion:
    """Give the alias back to the champion before.

    Args:
        reason: goes into the ledger.
        profile: name of a profile.
        overrides: `key=value` settings.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
    """
    workspace = open_workspace(profile, overrides, home)
    return tasks.run(tasks.rollback_champion, workspace, reason, getpass.getuser())
