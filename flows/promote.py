"""Flows `promote` and `rollback`: gates, alias `champion`, an entry in the ledger."""

from __future__ import annotations

import getpass

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.events import emit_event

from components.records import ModelVersion
from flows import tasks
from flows.workspace import open_workspace


@flow(name="promote")
def promote(
    version: str,
    profile: str = "tiny",
    overrides: list[str] | None = None,
    home: str = "",
    let_pass: dict[str, str] | None = None,
) -> ModelVersion:
    """Put a version through every gate and make it the champion of its kind.

    Args:
        version: number, `NAME/number` or `NAME@alias`.
        profile: name of a profile.
        overrides: `key=value` settings.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
        let_pass: gate -> "NAME: reason" of the reviewer who lets its failure pass; it goes into the ledger.
    """
    workspace = open_workspace(profile, overrides, home)
    name = version if "@" in version or "/" in version else f"{workspace.profile.registry.model}/{version}"
    promoted = tasks.run(tasks.promote_version, workspace, name, getpass.getuser(), let_pass or {})
    table = [gate.model_dump(mode="json") for gate in promoted.gates]
    create_table_artifact(table, key="gates", description=f"{promoted.name}/{promoted.version} is @{promoted.alias}")
    _tell("promoted", promoted)
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
    back = tasks.run(tasks.rollback_champion, workspace, reason, getpass.getuser())
    _tell("rolled-back", back)
    return back


def _tell(what: str, version: ModelVersion) -> None:
    """Let automations hear of it."""
    emit_event(
        f"lucidflux.model.{what}",
        resource={"prefect.resource.id": f"lucidflux.model.{version.name}", "prefect.resource.name": version.name},
        payload={"version": version.version, "alias": version.alias, "run_id": version.run_id},
    )
