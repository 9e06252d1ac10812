"""Verbs `up`, `down`, `status`, `logs`, `backup` and `restore-state`: the platform of one machine."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.session import Options, finish, running


def up(
    context: typer.Context,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and start again what ends; for systemd.")] = False,
) -> None:
    """Start servers, workers, deployments and automations; run again, it repairs what is missing."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.operations import control, deployments

        made = control.up(workspace, deployments.parameters(options.profile, options.overrides), options.terminal.say)
        finish(options, made, made.text())
        if watch:
            control.watch(workspace, options.terminal.say)


def down(context: typer.Context) -> None:
    """Stop everything that `up` started, running flows included; the next `up` goes on with them."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.operations import control

        made = control.down(workspace)
    finish(options, made, made.text())


def status(context: typer.Context) -> None:
    """Show what runs, the deployments, the last flow runs, and what needs somebody; ends with 1 when something does."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.operations.status import look

        made = look(workspace.home)
    finish(options, made, made.text())
    raise typer.Exit(1 if made.alarms or not made.services else 0)


def logs(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help="prefect, mlflow, worker-cpu or worker-gpu.")],
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on showing what is added.")] = False,
    lines: Annotated[int, typer.Option(min=1, help="How many of the last lines.")] = 40,
) -> None:
    """Show the end of a service's log."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.operations.status import log

        path = log(workspace.home, service)
    tail = [shutil.which("tail") or "tail", "-n", str(lines), *(["-F"] if follow else []), str(path)]
    with suppress(KeyboardInterrupt):
        subprocess.run(tail, stdout=options.terminal.stdout, check=False)


def backup(context: typer.Context, file: Annotated[Path, typer.Argument(help="The result, a .tar or .tar.gz.")]) -> None:
    """Copy databases, ledger and ports to one file with hashes, also while everything runs."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.operations.backup import backup as run

        made = run(workspace, file)
    finish(options, made, made.text())


def restore_state(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What lucidflux backup wrote.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="End what runs, and put state that is there aside.")] = False,
) -> None:
    """Bring the state of a home back from a backup."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.operations.backup import restore as run

        made = run(workspace, file, force=force)
    finish(options, made, made.text())
