"""Find the records behind what people name on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.backends import manifest
from components.backends.catalog import find
from components.backends.tables import Tables
from components.errors import ManifestError, RegistryError
from components.records import EvalReport, ModelVersion, TrainRun
from flows.workspace import Workspace

if TYPE_CHECKING:
    from components.register.gates import Candidate


def find_run(workspace: Workspace, model: str) -> TrainRun:
    """Take `run:ID`, a bare run id, `NAME@alias` or `NAME/version`.

    Raises:
        RegistryError: the name is unknown, or its run was not trained in this home.
    """
    run_id = model.removeprefix("run:")
    if "@" in model or "/" in model:
        run_id = workspace.tracker.resolve(model).run_id
    try:
        return find(workspace.store, TrainRun, run_id)
    except ManifestError as error:
        raise RegistryError(f"Expected run:ID, NAME@alias or NAME/version, got '{model}'. {error}") from error


def newest_version(workspace: Workspace) -> ModelVersion | None:
    """The version that was registered last; None when there is none."""
    return workspace.tracker.newest(workspace.profile.registry.model)


def dataset_of(workspace: Workspace, version: ModelVersion) -> str:
    """Hash of the image manifest that a version was made from; empty when its run was not trained in this home."""
    try:
        return find_run(workspace, version.run_id).pairs.curation.dataset.manifest.sha256
    except RegistryError:
        return ""


def find_report(workspace: Workspace, run: TrainRun) -> EvalReport:
    """Take the evaluation of a run's checkpoint.

    Raises:
        RegistryError: it was not evaluated.
    """
    try:
        return find(workspace.store, EvalReport, run.checkpoint_sha256)
    except ManifestError as error:
        sentence = f"Run {run.run_id} was not evaluated. Do it first: lucidflux evaluate run:{run.run_id}"
        raise RegistryError(sentence) from error


def champion_report(workspace: Workspace, run: TrainRun) -> EvalReport | None:
    """The report of the champion that a run would have to beat; None when there is none, or it is the run itself."""
    from components.register.promote import champion_of

    profile = workspace.profile
    champion = champion_of(workspace.tracker, workspace.ledger, profile.registry.model, profile.promote.kind)
    if champion is None or champion.run_id == run.run_id:
        return None
    try:
        return find_report(workspace, find_run(workspace, champion.run_id))
    except RegistryError:  # it came from another home; the gate says so when it matters
        return None


def candidate(workspace: Workspace, version: ModelVersion, champion: ModelVersion | None) -> Candidate:
    """Put together what gates look at.

    Args:
        workspace: whose registry and store.
        version: the candidate.
        champion: of the same kind; None when there is none.

    Raises:
        RegistryError: a run was not trained or not evaluated in this home.
    """
    from components.imaging.iqa.paired import compare
    from components.register.gates import Candidate

    store, profile = workspace.store, workspace.profile
    run = find_run(workspace, version.run_id)
    report = find_report(workspace, run)
    other = find_report(workspace, find_run(workspace, champion.run_id)) if champion else None
    rows = [] if other is None else [manifest.rows(store, one.scores) for one in (report, other)]
    with Tables(store) as tables:
        tables.manifest("scores", report.scores)
        tables.manifest("pairs", run.pairs.manifest)
        seen = tables.one("select count(distinct image_id) as n from scores where image_id in (select hq_id from pairs)")["n"]
    return Candidate(
        run=run,
        report=report,
        champion=other,
        paired=compare(*rows) if rows else (),
        trained_on=int(seen),
        register=profile.registry,
        promote=profile.promote,
    )
