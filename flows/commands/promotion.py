"""Verbs `promote`, `rollback` and `ledger …`: which model restores, who decided it, and the proof."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.session import Options, finish, running

ledger = typer.Typer(help="What was promoted, refused and rolled back: show, verify.", no_args_is_help=True)


def promote(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="Version number or NAME@alias.")] = "",
    override: Annotated[
        list[str] | None, typer.Option(metavar='GATE="NAME: reason"', help="Let a gate's failure pass, in your name.")
    ] = None,
    *,
    resume: Annotated[bool, typer.Option("--resume", help="Only finish what a killed promotion began.")] = False,
) -> None:
    """Put a model version through the gates and make it the champion."""
    from components.errors import SettingsError

    options: Options = context.obj
    with running(options) as workspace:
        if resume:
            from flows.ledger import resume_decision

            finished = resume_decision(workspace)
            finish(options, finished, finished.text())
            return
        if not version:
            raise SettingsError("Expected a version, for example: lucidflux promote 3")
        from flows.promote import promote as run

        made = run(version, let_pass=_pairs(override or []), **options.arguments)
    lines = [f"{gate.gate}: {gate.reason}{f' (let pass by {gate.overridden})' if gate.overridden else ''}" for gate in made.gates]
    finish(options, made, "\n".join([*lines, f"{made.name}/{made.version} is @{made.alias}."]))


def rollback(
    context: typer.Context, reason: Annotated[str, typer.Option(help="Why; it goes into the ledger.")] = "rolled back by hand"
) -> None:
    """Give the champion alias back to the version that had it before."""
    options: Options = context.obj
    with running(options):
        from flows.promote import rollback as run

        made = run(reason, **options.arguments)
    finish(options, made, f"{made.name}/{made.version} is @{made.alias} again.")


def lineage(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="NAME@alias or NAME/version.")],
    *,
    images: Annotated[bool, typer.Option("--images", help="List the ids of the pictures that it was trained on.")] = False,
) -> None:
    """Say what a model version was made from, back to its pictures."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.ledger import descent

        made = descent(workspace, model)
    finish(options, made, "\n".join(made.facts["training_images"]) if images else made.text())


@ledger.command()
def show(context: typer.Context) -> None:
    """List every decision, the oldest first."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.ledger import listing

        made = listing(workspace)
    finish(options, made, made.text())


@ledger.command()
def verify(context: typer.Context) -> None:
    """Prove that no entry was changed or removed, and that the registry says what the ledger says."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.ledger import proof

        made = proof(workspace)
    finish(options, made, made.text())


def _pairs(overrides: list[str]) -> dict[str, str]:
    from components.errors import SettingsError

    pairs = {}
    for text in overrides:
        gate, equals, said = text.partition("=")
        if not equals:
            raise SettingsError(f"Expected GATE=\"NAME: reason\", got '{text}'.")
        pairs[gate.strip()] = said.strip()
    return pairs
