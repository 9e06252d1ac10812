"""Flow `restore-batch`: the champion over a folder; resumable, nothing done twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from components.records import Restoration
from flows import tasks
from flows.workspace import open_workspace


@flow(name="restore-batch")
def restore_batch(
    input_uri: str,
    output_uri: str,
    model: str = "",
    profile: str = "tiny",
    overrides: list[str] | None = None,
    home: str = "",
) -> Restoration:
    """Restore every picture below a folder.

    Args:
        input_uri: folder, file or glob.
        output_uri: folder of the results; names are mirrored.
        model: `NAME@alias`, `NAME/version` or a folder; empty is the profile's.
        profile: name of a profile.
        overrides: `key=value` settings.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
    """
    return restore_inputs([input_uri], output_uri, model=model, profile=profile, overrides=overrides, home=home)


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
    """Restore files, folders and globs.

    Args:
        inputs: what to restore.
        output: folder of the results; names are mirrored.
        force: overwrite files that something else put there.
        model: `NAME@alias`, `NAME/version`, or a folder with a bundle and its adapter; empty is the profile's.
        profile: name of a profile.
        overrides: `key=value` settings.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
    """
    changes = [*(overrides or []), *([f"restore.model={json.dumps(model, ensure_ascii=False)}"] if model else [])]
    workspace = open_workspace(profile, changes, home)
    made = tasks.run(tasks.restore_pictures, workspace, inputs, _folder(output), force=force)
    create_markdown_artifact(_summary(inputs, made), key="restoration", description=f"{made.restored} restored by {made.model}")
    return made


def _folder(output: str) -> Path:
    return Path(output.removeprefix("file://")).absolute()


def _summary(inputs: Sequence[str], made: Restoration) -> str:
    return (
        f"| restored | unchanged from before | failed |\n|---|---|---|\n| {made.restored} | {made.reused} | {made.failed} |\n\n"
        f"From {', '.join(f'`{item}`' for item in inputs)} to `{made.output}` by `{made.model}`; rows in `{made.manifest.uri}`.\n"
    )
