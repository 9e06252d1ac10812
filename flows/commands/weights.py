"""Verbs `lucidflux weights …`: third-party weights and the encoded prompt."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.session import Options, finish, running

commands = typer.Typer(help="Third-party weights: list, fetch, verify, import; encode the prompt.", no_args_is_help=True)


@commands.command("list")
def list_weights(context: typer.Context) -> None:
    """Show every known set: state, size, licence, use."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.weights import listing

        made = listing(workspace)
    finish(options, made, made.text())


@commands.command()
def fetch(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Sets, as `weights list` names them.")],
    mirror: Annotated[
        str, typer.Option(help="Folder or s3://bucket/prefix to look in first [default: LUCIDFLUX_WEIGHTS_MIRROR].")
    ] = "",
) -> None:
    """Bring sets from a mirror or the model hub; goes on where it stopped."""
    options: Options = context.obj
    os.environ.setdefault("HF_HUB_OFFLINE", "0")  # the other verbs never ask the hub
    with running(options) as workspace:
        from flows.progress import progress
        from flows.weights import fetch as run

        made = run(workspace, names, mirror, progress.get())
    finish(options, made, made.text())


@commands.command()
def verify(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="Sets [default: all that are there].")] = None,
) -> None:
    """Hash sets and look through what they hold; exit code 1 when one is not what it should be."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.progress import progress
        from flows.weights import verify as run

        made = run(workspace, names or [], progress.get())
    finish(options, made, made.text())
    raise typer.Exit(0 if made.healthy else 1)


@commands.command("import")
def import_weights(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Set, as `weights list` names it.")],
    path: Annotated[Path, typer.Argument(help="File, or folder of the set's files.")],
) -> None:
    """Take a set from files that are already on this machine, after proving them."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.weights import bring_in

        made = bring_in(workspace, name, path)
    finish(options, made, f"{name} is in {made.folder}: {', '.join(made.files)}.")


@commands.command("encode-prompt")
def encode_prompt(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="File: .safetensors (ours) or .pt (as released).")],
    prompt: Annotated[str, typer.Option(help="Text [default: the released prompt].")] = "",
) -> None:
    """Encode a prompt once with T5 and CLIP."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.weights import encode_prompt as run

        made = run(workspace, prompt, out)
    finish(options, made, f"Wrote {made.files[0]} to {made.folder}.")
