"""The command line `lucidflux`: options, verbs, and sentences instead of tracebacks.

Nothing heavy is imported before a verb runs, so that `--help` answers at once.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands import (
    ablate,
    benchmark,
    captions,
    dataset,
    evaluation,
    pair,
    platform,
    pretrain,
    promotion,
    restoring,
    weights,
)
from flows.commands.session import Options, finish, look_first, running
from flows.terminal import Terminal

app = typer.Typer(
    name="lucidflux",
    help="Universal image restoration as a workflow: curate, train, prove, ship and run LucidFlux.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(dataset.commands, name="dataset")
app.add_typer(benchmark.commands, name="benchmark")
app.add_typer(weights.commands, name="weights")
app.add_typer(promotion.ledger, name="ledger")
app.command()(evaluation.evaluate)
app.command()(promotion.promote)
app.command()(promotion.rollback)
app.command()(promotion.lineage)
app.command()(dataset.why)
app.command()(restoring.restore)
app.command()(restoring.restore_batch)
app.command()(pair.pair)
app.command()(ablate.ablate)
app.command()(captions.audit_captions)
app.command()(pretrain.pretrain)
app.command()(platform.up)
app.command()(platform.down)
app.command()(platform.status)
app.command()(platform.logs)
app.command()(platform.backup)
app.command()(platform.restore_state)


class Layout(StrEnum):
    """Forms of weights in files."""

    lucidflux = "lucidflux"
    released = "released"
    diffusers = "diffusers"


@app.callback()
def options(
    context: typer.Context,
    profile: Annotated[str, typer.Option(help="tiny, paper, released, or a path to a TOML file.")] = "tiny",
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting.")] = None,
    home: Annotated[Path | None, typer.Option(help="State folder [default: LUCIDFLUX_HOME or .lucidflux].")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the resulting record as one line of JSON.")] = False,
) -> None:
    """Take the options that every verb shares."""
    place = (home or Path(os.environ.get("LUCIDFLUX_HOME", ".lucidflux"))).absolute()
    context.obj = Options(profile, list(overrides or []), place, Terminal(json=json))


@app.command()
def quickstart(
    context: typer.Context,
    photos: Annotated[Path | None, typer.Argument(help="Folder of your photos [default: packaged ones].")] = None,
) -> None:
    """Take photos through every stage: a registered, gated model and restored photos."""
    options: Options = context.obj
    with running(options) as workspace:
        source = str(photos) if photos else "packaged:"
        look_first(workspace, [source])
        from flows.quickstart import quickstart as run

        result, text = run(workspace, source, options.arguments)
    finish(options, result, text)


@app.command()
def ingest(context: typer.Context, source: Annotated[list[str], typer.Argument(help="Folder, s3://…, tar:…, urls:…")]) -> None:
    """Store pictures as shards and pin them as a dataset version."""
    options: Options = context.obj
    with running(options) as workspace:
        look_first(workspace, source)
        from flows.ingest import ingest as run

        made = run(source, **options.arguments)
    finish(
        options,
        made,
        f"Dataset version {made.dvc_md5} with {made.manifest.rows} pictures.\nNext: lucidflux curate {made.manifest.sha256[:12]}",
    )


@app.command()
def curate(context: typer.Context, manifest: Annotated[str, typer.Argument(help="Hash of the image manifest.")]) -> None:
    """Score every picture and decide which are kept."""
    options: Options = context.obj
    with running(options) as workspace:
        from components.backends.catalog import find
        from components.records import DatasetVersion
        from flows.curate import curate as run

        made = run(find(workspace.store, DatasetVersion, manifest), **options.arguments)
    counts = ", ".join(f"{name} {count}" for name, count in made.funnel.items())
    name = made.manifest.sha256[:12]
    finish(
        options,
        made,
        f"Curated {made.manifest.rows} pictures: {counts}.\nPicture: {workspace.store.root}/{made.picture}\n"
        f"Why one is in or out: lucidflux why IMAGE_OR_ID\nNext: lucidflux synthesize {name}",
    )


@app.command()
def synthesize(context: typer.Context, manifest: Annotated[str, typer.Argument(help="Hash of the curated manifest.")]) -> None:
    """Draw a seeded degradation recipe for every training pair."""
    options: Options = context.obj
    with running(options) as workspace:
        from components.backends.catalog import find
        from components.records import Curation
        from flows.synthesize import synthesize as run

        made = run(find(workspace.store, Curation, manifest), **options.arguments)
    small = f" {made.too_small} pictures are smaller than the crop and give none." if made.too_small else ""
    finish(
        options,
        made,
        f"Drew {made.manifest.rows} pairs.{small}\nPicture: {workspace.store.root}/{made.picture}\n"
        f"One of them: lucidflux pair PAIR_OR_IMAGE_ID\nNext: lucidflux train {made.manifest.sha256[:12]}",
    )


@app.command()
def train(context: typer.Context, manifest: Annotated[str, typer.Argument(help="Hash of the pair manifest.")]) -> None:
    """Train the adapter under DeepSpeed ZeRO-2; the same command resumes a killed run."""
    options: Options = context.obj
    with running(options) as workspace:
        from components.backends.catalog import find
        from components.records import PairSet
        from flows.train import train as run

        made = run(find(workspace.store, PairSet, manifest), **options.arguments)
    finish(
        options,
        made,
        f"Run {made.run_id}: {made.step} steps, loss {made.loss_first:.4f} -> {made.loss_last:.4f}.\n"
        + "".join(f"Note: {note}.\n" for note in made.notes)
        + f"Next: lucidflux evaluate run:{made.run_id}",
    )


@app.command()
def register(context: typer.Context, run: Annotated[str, typer.Argument(help="Id of an evaluated run.")]) -> None:
    """Package a run as a model version with alias `challenger`."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.lineage import find_report, find_run
        from flows.register import register as go

        trained = find_run(workspace, run)
        made = go(trained, find_report(workspace, trained), **options.arguments)
    finish(options, made, f"{made.name}/{made.version} is @{made.alias}.\nNext: lucidflux promote {made.version}")


@app.command()
def retrain(
    context: typer.Context,
    source: Annotated[list[str], typer.Argument(help="Folder, s3://…, tar:…, urls:…")],
    only_new_data: Annotated[bool, typer.Option("--only-new-data", help="Do nothing where there are no new pictures.")] = False,
) -> None:
    """Ingest, curate, synthesize, train, evaluate and register: a new challenger."""
    options: Options = context.obj
    with running(options) as workspace:
        look_first(workspace, source)
        from flows.retrain import retrain as run

        state = run(source, only_new_data=only_new_data, **options.arguments, return_state=True)
        made = state.result()
    done = f"{made.name}/{made.version} is @{made.alias}.\nNext: lucidflux promote {made.version}"
    finish(options, made, f"Did nothing: {state.message}." if state.name == "Skipped" else done)


@app.command()
def convert(
    context: typer.Context,
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Weight files, folders, or names of fetched sets.")],
    out: Annotated[Path, typer.Option(help="Folder of the results.")],
    to: Annotated[Layout, typer.Option(help="Form to write.")] = Layout.lucidflux,
    config: Annotated[Path | None, typer.Option(help="Sizes of the network [default: as released].")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are already there.")] = False,
) -> None:
    """Take weights from any form to another: our bundle, the released files, a diffusers folder."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.weights import convert as run

        made = run(workspace, sources, out, to=to.value, config=config, force=force)
    finish(options, made, f"Wrote {', '.join(made.files)} to {made.folder}.")


@app.command()
def doctor(context: typer.Context) -> None:
    """Say what is here, what is missing and how to get it."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.doctor import examine

        found = examine(workspace)
    finish(options, found, found.text())
    raise typer.Exit(0 if found.healthy else 1)


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="lucidflux")


if __name__ == "__main__":
    main()
