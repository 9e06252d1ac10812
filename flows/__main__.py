"""The command line `lucidflux`: options, verbs, and sentences instead of tracebacks.

Nothing heavy is imported before a verb runs, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from flows.terminal import Terminal

if TYPE_CHECKING:
    from components.records import Record
    from flows.workspace import Workspace

app = typer.Typer(
    name="lucidflux",
    help="Universal image restoration as a workflow: curate, train, prove, ship and run LucidFlux.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
weights = typer.Typer(help="Third-party weights: list, fetch, verify, import; encode the prompt.", no_args_is_help=True)
app.add_typer(weights, name="weights")


class Layout(StrEnum):
    """Forms of weights in files."""

    lucidflux = "lucidflux"
    released = "released"
    diffusers = "diffusers"


@dataclass
class Options:
    """What stands before the verb."""

    profile: str
    overrides: list[str]
    home: Path
    terminal: Terminal
    arguments: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.arguments = {"profile": self.profile, "overrides": self.overrides, "home": str(self.home)}


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


@contextmanager
def _running(options: Options) -> Iterator[Workspace]:
    """Prepare the environment, show progress, and turn errors into sentences and exit codes."""
    from flows import environment

    environment.prepare(options.home)
    _stop_at_once(options)
    from flows.orphans import end_orphans

    end_orphans(options.home / "prefect")
    from components.errors import LucidfluxError, SettingsError
    from flows.workspace import open_workspace

    try:
        workspace = open_workspace(**options.arguments)
        with options.terminal.showing() as report:
            from flows.progress import progress

            progress.set(report)
            yield workspace
    except LucidfluxError as error:
        options.terminal.say(f"{type(error).__name__}: {error}")
        raise typer.Exit(2 if isinstance(error, SettingsError) else 1) from error


def _stop_at_once(options: Options) -> None:
    """Let Ctrl-C end this process and its children.

    A terminal interrupts the embedded Prefect server together with us, and Prefect would wait for its answer. With a
    server of its own the run is marked there, so Prefect keeps the signal.
    """

    def leave(number: int, frame: object) -> NoReturn:
        del frame
        import psutil

        options.terminal.say("Stopped; the same command goes on from here.")
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.terminate()
        os._exit(128 + number)

    if "PREFECT_API_URL" not in os.environ:
        signal.signal(signal.SIGINT, leave)


def _look_first(workspace: Workspace, sources: list[str]) -> None:
    """Refuse a missing or empty source before anything is started."""
    from components.ingest.run import fingerprint

    fingerprint(sources, workspace.profile.ingest)


def _finish(options: Options, record: Record, text: str) -> None:
    options.terminal.result(record.model_dump_json() if options.terminal.json else text)


@app.command()
def quickstart(
    context: typer.Context,
    photos: Annotated[Path | None, typer.Argument(help="Folder of your photos [default: packaged ones].")] = None,
) -> None:
    """Take photos through every stage: a registered, gated model and restored photos."""
    options: Options = context.obj
    with _running(options) as workspace:
        source = str(photos) if photos else "packaged:"
        _look_first(workspace, [source])
        from flows.quickstart import quickstart as run

        result, text = run(workspace, source, options.arguments)
    _finish(options, result, text)


@app.command()
def ingest(context: typer.Context, source: Annotated[list[str], typer.Argument(help="Folder, or packaged:.")]) -> None:
    """Store pictures as shards and pin them as a dataset version."""
    options: Options = context.obj
    with _running(options) as workspace:
        _look_first(workspace, source)
        from flows.ingest import ingest as run

        made = run(source, **options.arguments)
    _finish(
        options,
        made,
        f"Dataset version {made.dvc_md5} with {made.manifest.rows} pictures.\nNext: lucidflux curate {made.manifest.sha256[:12]}",
    )


@app.command()
def curate(context: typer.Context, manifest: Annotated[str, typer.Argument(help="Hash of the image manifest.")]) -> None:
    """Score every picture and decide which are kept."""
    options: Options = context.obj
    with _running(options) as workspace:
        from components.backends.catalog import find
        from components.records import DatasetVersion
        from flows.curate import curate as run

        made = run(find(workspace.store, DatasetVersion, manifest), **options.arguments)
    counts = ", ".join(f"{name} {count}" for name, count in made.funnel.items())
    _finish(
        options, made, f"Curated {made.manifest.rows} pictures: {counts}.\nNext: lucidflux synthesize {made.manifest.sha256[:12]}"
    )


@app.command()
def synthesize(context: typer.Context, manifest: Annotated[str, typer.Argument(help="Hash of the curated manifest.")]) -> None:
    """Draw a seeded degradation recipe for every training pair."""
    options: Options = context.obj
    with _running(options) as workspace:
        from components.backends.catalog import find
        from components.records import Curation
        from flows.synthesize import synthesize as run

        made = run(find(workspace.store, Curation, manifest), **options.arguments)
    small = f" {made.too_small} pictures are smaller than the crop and give none." if made.too_small else ""
    _finish(options, made, f"Drew {made.manifest.rows} pairs.{small}\nNext: lucidflux train {made.manifest.sha256[:12]}")


@app.command()
def train(context: typer.Context, manifest: Annotated[str, typer.Argument(help="Hash of the pair manifest.")]) -> None:
    """Train the adapter under DeepSpeed ZeRO-2; the same command resumes a killed run."""
    options: Options = context.obj
    with _running(options) as workspace:
        from components.backends.catalog import find
        from components.records import PairSet
        from flows.train import train as run

        made = run(find(workspace.store, PairSet, manifest), **options.arguments)
    _finish(
        options,
        made,
        f"Run {made.run_id}: {made.step} steps, loss {made.loss_first:.4f} -> {made.loss_last:.4f}.\n"
        f"Next: lucidflux evaluate run:{made.run_id}",
    )


@app.command()
def evaluate(context: typer.Context, model: Annotated[str, typer.Argument(help="run:ID or NAME@alias.")]) -> None:
    """Restore held-out photos and score them."""
    options: Options = context.obj
    with _running(options) as workspace:
        from flows.evaluate import evaluate as run
        from flows.lineage import find_run

        trained = find_run(workspace, model)
        made = run(trained, **options.arguments)
    lines = [f"{cell.benchmark} {cell.method} {cell.metric} {cell.mean:.3f} (n={cell.n})" for cell in made.summaries]
    text = "\n".join([*lines, f"Report: {workspace.store.root}/{made.html}", f"Next: lucidflux register {trained.run_id}"])
    _finish(options, made, text)


@app.command()
def register(context: typer.Context, run: Annotated[str, typer.Argument(help="Id of an evaluated run.")]) -> None:
    """Package a run as a model version with alias `challenger`."""
    options: Options = context.obj
    with _running(options) as workspace:
        from flows.lineage import find_report, find_run
        from flows.register import register as go

        trained = find_run(workspace, run)
        made = go(trained, find_report(workspace, trained), **options.arguments)
    _finish(options, made, f"{made.name}/{made.version} is @{made.alias}.\nNext: lucidflux promote {made.version}")


@app.command()
def promote(context: typer.Context, version: Annotated[str, typer.Argument(help="Version number or NAME@alias.")]) -> None:
    """Put a model version through the gates and make it the champion."""
    options: Options = context.obj
    with _running(options):
        from flows.promote import promote as run

        made = run(version, **options.arguments)
    lines = [f"{gate.gate}: {gate.reason}" for gate in made.gates]
    _finish(options, made, "\n".join([*lines, f"{made.name}/{made.version} is @{made.alias}."]))


@app.command()
def rollback(
    context: typer.Context, reason: Annotated[str, typer.Option(help="Why; it goes into the ledger.")] = "rolled back by hand"
) -> None:
    """Give the champion alias back to the version that had it before."""
    options: Options = context.obj
    with _running(options):
        from flows.promote import rollback as run

        made = run(reason, **options.arguments)
    _finish(options, made, f"{made.name}/{made.version} is @{made.alias} again.")


@app.command()
def retrain(context: typer.Context, source: Annotated[list[str], typer.Argument(help="Folder, or packaged:.")]) -> None:
    """Ingest, curate, synthesize, train, evaluate and register: a new challenger."""
    options: Options = context.obj
    with _running(options) as workspace:
        _look_first(workspace, source)
        from flows.retrain import retrain as run

        made = run(source, **options.arguments)
    _finish(options, made, f"{made.name}/{made.version} is @{made.alias}.\nNext: lucidflux promote {made.version}")


@app.command()
def restore(
    context: typer.Context,
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Photos, folders or globs.")],
    out: Annotated[Path, typer.Option(help="Folder of the results.")],
    model: Annotated[str, typer.Option(help="NAME@alias, NAME/version or a folder [default: restore.model].")] = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are already there.")] = False,
) -> None:
    """Restore photos with the champion or another model; a re-run does nothing twice."""
    options: Options = context.obj
    with _running(options):
        from flows.restore_batch import restore_inputs

        made = restore_inputs(inputs, str(out), model=model, force=force, **options.arguments)
    _finish(
        options,
        made,
        f"{made.restored} restored, {made.reused} unchanged from before, {made.failed} failed, by {made.model}: {made.output}",
    )


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
    with _running(options) as workspace:
        from flows.weights import convert as run

        made = run(workspace, sources, out, to=to.value, config=config, force=force)
    _finish(options, made, f"Wrote {', '.join(made.files)} to {made.folder}.")


@weights.command("list")
def list_weights(context: typer.Context) -> None:
    """Show every known set: state, size, licence, use."""
    options: Options = context.obj
    with _running(options) as workspace:
        from flows.weights import listing

        made = listing(workspace)
    _finish(options, made, made.text())


@weights.command()
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
    with _running(options) as workspace:
        from flows.progress import progress
        from flows.weights import fetch as run

        made = run(workspace, names, mirror, progress.get())
    _finish(options, made, made.text())


@weights.command()
def verify(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="Sets [default: all that are there].")] = None,
) -> None:
    """Hash sets and look through what they hold; exit code 1 when one is not what it should be."""
    options: Options = context.obj
    with _running(options) as workspace:
        from flows.progress import progress
        from flows.weights import verify as run

        made = run(workspace, names or [], progress.get())
    _finish(options, made, made.text())
    raise typer.Exit(0 if made.healthy else 1)


@weights.command("import")
def import_weights(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Set, as `weights list` names it.")],
    path: Annotated[Path, typer.Argument(help="File, or folder of the set's files.")],
) -> None:
    """Take a set from files that are already on this machine, after proving them."""
    options: Options = context.obj
    with _running(options) as workspace:
        from flows.weights import bring_in

        made = bring_in(workspace, name, path)
    _finish(options, made, f"{name} is in {made.folder}: {', '.join(made.files)}.")


@weights.command("encode-prompt")
def encode_prompt(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="File: .safetensors (ours) or .pt (as released).")],
    prompt: Annotated[str, typer.Option(help="Text [default: the released prompt].")] = "",
) -> None:
    """Encode a prompt once with T5 and CLIP."""
    options: Options = context.obj
    with _running(options) as workspace:
        from flows.weights import encode_prompt as run

        made = run(workspace, prompt, out)
    _finish(options, made, f"Wrote {made.files[0]} to {made.folder}.")


@app.command()
def doctor(context: typer.Context) -> None:
    """Say what is here, what is missing and how to get it."""
    options: Options = context.obj
    with _running(options) as workspace:
        from flows.doctor import examine

        found = examine(workspace)
    _finish(options, found, found.text())
    raise typer.Exit(0 if found.healthy else 1)


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="lucidflux")


if __name__ == "__main__":
    main()
