"""Flows `restore-batch` and `restore`: the champion over a folder or a bucket; resumable, nothing done twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event
from prefect.runtime import flow_run

from components.errors import LucidfluxError, RegistryError, SettingsError, WorkerError
from components.records import Restoration
from flows import tasks
from flows.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from components.backends.jobs import Job

DEPLOYMENT = "restore-batch/restore-batch"
EVENT = "lucidflux.restore-batch"
"""Name of the event at the end of a batch, followed by `.finished` or `.failed`."""

DRIFT_EVENT = "lucidflux.drift"
"""A batch is unlike the training set or the last batches; its payload names the pictures that make the difference."""


@flow(name="restore-batch")
def restore_batch(
    input_uri: str = "",
    output_uri: str = "",
    model: str = "",
    job: str = "",
    profile: str = "tiny",
    overrides: list[str] | None = None,
    home: str = "",
) -> Restoration:
    """Restore every picture that an address names, or continue a job.

    Args:
        input_uri: folder, file, glob, s3://bucket/prefix, list of addresses or `manifest:HASH`.
        output_uri: folder or s3://bucket/prefix of the results; names are mirrored.
        model: `NAME@alias`, `NAME/version` or a folder; empty is the profile's. An alias is resolved once.
        job: id of a job to continue, or `run:ID` of the flow run that began it; where `run:ID` began none, the addresses count.
        profile: name of a profile.
        overrides: `key=value` settings.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
    """
    workspace = _workspace(profile, overrides, home, model)
    if job and (known := _known(workspace, job, input_uri)):
        return _told(workspace, [input_uri or known], lambda run: tasks.run(tasks.continue_job, workspace, known, run=run))
    if not input_uri or not output_uri:
        raise SettingsError("Expected input_uri and output_uri, or the id of a job to continue.")
    return _restored(workspace, [input_uri], output_uri, force=False)


@flow(name="restore")
def restore_inputs(
    inputs: list[str],
    output: str,
    force: bool = False,  # noqa: FBT001, FBT002 (a flow's parameters are named by Prefect)
    model: str = "",
    profile: str = "tiny",
    overrides: list[str] | None = None,
    home: str = "",
) -> Restoration:
    """Restore files, folders, globs and whatever else `restore-batch` takes.

    Args:
        inputs: what to restore.
        output: folder or s3://bucket/prefix of the results; names are mirrored.
        force: overwrite files that something else put there.
        model: `NAME@alias`, `NAME/version`, or a folder with a bundle and its adapter; empty is the profile's.
        profile: name of a profile.
        overrides: `key=value` settings.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
    """
    return _restored(_workspace(profile, overrides, home, model), inputs, output, force=force)


def run_deployed(parameters: Mapping[str, Any]) -> Job:
    """Ask the Prefect server for a run of the deployment, wait for it, and give the job as it is recorded.

    Raises:
        WorkerError: the run did not complete.
    """
    from prefect.deployments import run_deployment

    from components.backends.jobs import Jobs

    done: Any = run_deployment(DEPLOYMENT, parameters=dict(parameters), timeout=None)
    if done.state is None or not done.state.is_completed():
        raise WorkerError(f"Expected the flow run {done.id} to complete, it ended as {done.state}. Its log is in Prefect.")
    workspace = open_workspace(parameters["profile"], parameters["overrides"], parameters["home"])
    return Jobs(workspace.ledger.url).find(f"run:{done.id}")


def _workspace(profile: str, overrides: list[str] | None, home: str, model: str) -> Workspace:
    changes = [*(overrides or []), *([f"restore.model={json.dumps(model, ensure_ascii=False)}"] if model else [])]
    return open_workspace(profile, changes, home)


def _known(workspace: Workspace, job: str, input_uri: str) -> str:
    """Id of a job that is asked for; empty where a flow run died before it had begun one."""
    from components.backends.jobs import Jobs

    try:
        return Jobs(workspace.ledger.url).find(job).id
    except RegistryError:
        if job.startswith("run:") and input_uri:
            return ""
        raise


def _restored(workspace: Workspace, inputs: list[str], output: str, *, force: bool) -> Restoration:
    def go(run: str) -> Restoration:
        return tasks.run(tasks.restore_pictures, workspace, inputs, output, force=force, run=run)

    return _told(workspace, inputs, go)


def _told(workspace: Workspace, inputs: Sequence[str], go: Callable[[str], Restoration]) -> Restoration:
    """Do a batch, and tell Prefect how it ended: an event for automations, an artifact for people."""
    run = str(flow_run.id or "")
    resource = {"prefect.resource.id": f"lucidflux.run.{run}", "prefect.resource.name": workspace.profile.restore.model}
    try:
        made = go(run)
    except LucidfluxError as error:
        emit_event(event=f"{EVENT}.failed", resource=resource, payload={"run": run, "error": str(error)})
        raise
    resource = {"prefect.resource.id": f"lucidflux.job.{made.job}", "prefect.resource.name": made.model}
    emit_event(event=f"{EVENT}.finished", resource=resource, payload=made.model_dump(mode="json") | {"run": run})
    if made.drifted:
        payload = {"summary": made.drift, "drifted": list(made.drifted), "pictures": list(made.moved), "page": made.drift_page}
        emit_event(event=DRIFT_EVENT, resource=resource, payload=payload | {"run": run})
    create_markdown_artifact(
        _summary(inputs, made, workspace.store.root), key="restoration", description=f"{made.restored} restored by {made.model}"
    )
    return made


def _summary(inputs: Sequence[str], made: Restoration, root: str) -> str:
    return (
        "| restored | unchanged from before | failed | for review | start | work |\n|---|---|---|---|---|---|\n"
        f"| {made.restored} | {made.reused} | {made.failed} | {made.review} | {made.start_seconds:.1f} s | "
        f"{made.work_seconds:.1f} s |\n\nFrom {', '.join(f'`{item}`' for item in inputs)} to `{made.output}` by `{made.model}`; "
        f"a line for each input in `{made.sidecar}`, rows in `{made.manifest.uri}`. Job `{made.job[:12]}`.\n"
        + "".join(f"\n{words}\n" for words in pages(made, root))
    )


def pages(made: Restoration, root: str) -> list[str]:
    """Sentences about what a person should look at; `root` is that of the object store, where the pages lie."""
    said = [f"Flagged results, before and after: `{root}/{made.review_page}`"] if made.review_page else []
    return said + ([f"Drift: {made.drift} Page: `{root}/{made.drift_page}`"] if made.drift else [])
