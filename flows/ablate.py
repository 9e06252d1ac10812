"""Flow `ablate`: a dataset version -> what each part of the method adds, over seeds."""

from __future__ import annotations

from prefect import flow
from prefect.artifacts import create_table_artifact

from components.evaluate.ablation import Ablation, chosen, compare, key_of, page
from components.records import DatasetVersion, EvalReport, PairSet
from flows import tasks
from flows.synthesize import synthesize
from flows.train import train
from flows.workspace import open_workspace

UNCURATED = (
    "curate.blur_minimum=0",
    "curate.blur_maximum=1e12",
    "curate.flat_share_maximum=1",
    "curate.keep_share=1",
)
"""Nothing is dropped for its quality; copies and leaks still are, and the same scenes are held out."""


@flow(name="ablate")
def ablate(
    dataset: DatasetVersion,
    seeds: list[int],
    arms: list[str] | None = None,
    profile: str = "tiny",
    overrides: list[str] | None = None,
    home: str = "",
) -> Ablation:
    """Train every arm with every seed and score all on the same held-out pictures.

    A killed run goes on: every training and evaluation that is finished is found again.

    Args:
        dataset: what `ingest` gave.
        seeds: of the trainings.
        arms: names in ARMS; all for none.
        profile: name of a profile.
        overrides: `key=value` settings, under those of the arms.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
    """
    taken, given = chosen(arms or []), list(overrides or [])
    workspace = open_workspace(profile, given, home)
    curated = _pairs(dataset, profile, given, home)
    # under a name of its own: the next version of the dataset is compared with the curated one
    bare = dataset.model_copy(update={"name": f"{dataset.name}-uncurated"})
    pairs = {"curated": curated}
    if any(arm.data == "uncurated" for arm in taken.values()):
        pairs["uncurated"] = _pairs(bare, profile, [*given, *UNCURATED], home)
    reports: dict[str, list[EvalReport]] = {}
    for name, arm in taken.items():
        changes = [f"{key}={value}" for key, value in arm.changes.items()]
        for seed in seeds:
            run = train(pairs[arm.data], profile, [*given, *changes, f"train.seed={seed}"], home)
            report = tasks.run(tasks.evaluate_adapter, workspace, run, on=curated.curation)
            reports.setdefault(name, []).append(report)
    made = compare(dataset.manifest.sha256, seeds, reports)
    made = made.model_copy(update={"html": workspace.store.put(key_of(made), page(made).encode())})
    table = [{"arm": arm.name, **cell.model_dump(mode="json")} for arm in made.arms for cell in arm.cells]
    create_table_artifact(table, key="ablation", description=f"Ablation of {dataset.name} over {len(seeds)} seeds")
    return made


def _pairs(dataset: DatasetVersion, profile: str, overrides: list[str], home: str) -> PairSet:
    workspace = open_workspace(profile, overrides, home)
    return synthesize(tasks.run(tasks.curate_images, workspace, dataset), profile, overrides, home)
