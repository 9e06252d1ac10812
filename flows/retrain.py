"""Flow `retrain`: the six stages chained; ends with a challenger."""

from __future__ import annotations

from prefect import flow

from components.records import ModelVersion
from flows.curate import curate
from flows.evaluate import evaluate
from flows.ingest import ingest
from flows.register import register
from flows.synthesize import synthesize
from flows.train import train
from flows.workspace import open_workspace


@flow(name="retrain")
def retrain(sources: list[str], profile: str = "tiny", overrides: list[str] | None = None, home: str = "") -> ModelVersion:
    """From photos to a registered challenger.

    Args:
        sources: `packaged:`, `folder:PATH` or plain paths.
        profile: name of a profile.
        overrides: `key=value` settings.
        home: state folder; empty is LUCIDFLUX_HOME or `.lucidflux`.
    """
    from components.synthesize.run import degradation

    degradation(open_workspace(profile, overrides, home).profile.synthesize)  # a wrong one is better known before the hours
    dataset = ingest(sources, profile, overrides, home)
    curation = curate(dataset, profile, overrides, home)
    pairs = synthesize(curation, profile, overrides, home)
    run = train(pairs, profile, overrides, home)
    report = evaluate(run, profile, overrides, home)
    return register(run, report, profile, overrides, home)
