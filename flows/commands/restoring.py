"""The verbs that restore pictures: some files now, or a whole bucket as a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.session import Options, finish, running

if TYPE_CHECKING:
    from components.records import Restoration

MODEL = "NAME@alias, NAME/version or a folder [default: restore.model]."


def restore(
    context: typer.Context,
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Photos, folders, globs, s3://…, lists.")],
    out: Annotated[str, typer.Option(help="Folder or s3://bucket/prefix of the results.")],
    model: Annotated[str, typer.Option(help=MODEL)] = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are already there.")] = False,  # noqa: FBT002
) -> None:
    """Restore photos with the champion or another model; a re-run does nothing twice."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows.restore_batch import restore_inputs

        made = restore_inputs(inputs, out, model=model, force=force, **options.arguments)
    finish(options, made, said(made, workspace.store.root))


def restore_batch(
    context: typer.Context,
    input_uri: Annotated[str, typer.Argument(help="Folder, glob, s3://bucket/prefix, list or manifest:HASH.")] = "",
    output_uri: Annotated[str, typer.Argument(help="Folder or s3://bucket/prefix of the results.")] = "",
    model: Annotated[str, typer.Option(help=MODEL)] = "",
    job: Annotated[str, typer.Option(help="Continue this job: its id or the beginning of it.")] = "",
    deployed: Annotated[bool, typer.Option("--deployed", help="Let a worker of the Prefect server do it.")] = False,  # noqa: FBT002
) -> None:
    """Restore a whole folder or bucket as a job that survives kills; with --job, continue one."""
    options: Options = context.obj
    with running(options) as workspace:
        from flows import restore_batch as flows

        if deployed:
            places = {"input_uri": input_uri, "output_uri": output_uri, "model": model, "job": job}
            ended = flows.run_deployed(places | options.arguments)
            counts = ", ".join(f"{count} {name}" for name, count in ended.counts.items())
            finish(options, ended, f"{counts}, by {ended.model}: {ended.output}\nJob {ended.id[:12]}")
            return
        made = flows.restore_batch(input_uri, output_uri, model, job, **options.arguments)
    finish(options, made, said(made, workspace.store.root))


def said(made: Restoration, root: str) -> str:
    """What a person is told of a restoration; `root` is where the pages lie."""
    line = f"{made.restored} restored, {made.reused} unchanged from before, {made.failed} failed, by {made.model}: {made.output}"
    review = f"\n{made.review} to be looked at by a person." if made.review else ""
    looked = "".join(f"\n{words}" for words in _pages(made, root))
    times = f"Start {made.start_seconds:.1f} s, work {made.work_seconds:.1f} s."
    return f"{line}{review}{looked}\n{times} Job {made.job[:12]}; a line for each input: {made.sidecar}"


def _pages(made: Restoration, root: str) -> list[str]:
    from flows.restore_batch import pages

    return [words.replace("`", "") for words in pages(made, root)]
