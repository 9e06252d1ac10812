"""Find the records behind what people name on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from components.backends import manifest
from components.backends.catalog import find
from components.backends.tables import Tables
from components.errors import ManifestError, RegistryError
from components.records import EvalReport, ModelVersion, TrainRun, content_hash
from flows.workspace import Workspace

if TYPE_CHECKING:
    from components.register.gates import Candidate
    from components.restore.drift import Row, Sample


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


WATCHED = 100
"""Training pictures that are damaged once per training, as pairs are, to know what LQ the model saw."""
WATCHED_PX = 1024
"""Largest side of what is looked at: the middle of a picture."""


def training_samples(workspace: Workspace, model: str) -> dict[str, Sample]:
    """What a registered version was trained with, for the drift watch; empty for a model that was not trained in this home.

    Args:
        workspace: registry and store.
        model: `NAME/version`.
    """
    try:
        run = find_run(workspace, workspace.tracker.resolve(model).run_id)
    except RegistryError:
        return {}
    return {"training set": _curated_sample(workspace, run), "training LQ": _damaged_sample(workspace, run)}


def _curated_sample(workspace: Workspace, run: TrainRun) -> Sample:
    """Of the kept pictures, from what their manifest says."""
    from components.restore import drift

    curated, most = run.pairs.curation.manifest, workspace.profile.restore.drift.sample

    def known() -> Iterator[tuple[str, Row]]:
        sql = f"select id, blur, flat_share, width_px, height_px from rows where verdict = 'kept' order by id limit {most}"
        for row in manifest.query(workspace.store, curated, sql):
            yield row["id"], drift.curated(row)

    return _once(workspace, f"drift/training/{curated.sha256}-{most}.json", lambda: drift.sample(known(), most))


def _damaged_sample(workspace: Workspace, run: TrainRun) -> Sample:
    """Of some kept pictures, whole and degraded as pairs are: crops of them would have less contrast than what comes in."""
    from components.imaging.degrade import recipe
    from components.imaging.held_out import HeldOut, load
    from components.restore import drift
    from components.synthesize.run import degradation

    curated, profile, store = run.pairs.curation.manifest, workspace.profile, workspace.store
    drawn = degradation(profile.synthesize).model_copy(update={"crop_px": None, "flip_share": 0.0})
    key = content_hash(curated.sha256, drawn, WATCHED, WATCHED_PX, profile.restore.drift.statistics)

    def measured() -> Iterator[tuple[str, Row]]:
        sql = f"select id, shard, \"offset\", length from rows where verdict = 'kept' order by id limit {WATCHED}"
        for row in manifest.query(store, curated, sql):
            hq_u8 = load(store, HeldOut(**row), WATCHED_PX)
            lq_u8 = recipe.apply(hq_u8, recipe.draw(0, row["id"], 0, drawn))[1]
            yield row["id"], drift.measure_input(lq_u8, profile.restore.drift.statistics)

    return _once(workspace, f"drift/training/{key}.json", lambda: drift.sample(measured(), WATCHED))


def _once(workspace: Workspace, key: str, make: Callable[[], Sample]) -> Sample:
    """Find a sample, or make and keep it."""
    from components.restore.drift import Sample

    if workspace.store.exists(key):
        return Sample.unpack(workspace.store.read(key))
    made = make()
    workspace.store.put(key, made.pack())
    return made
