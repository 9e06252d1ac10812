"""The nouns: small frozen records that travel between stages instead of data.

Rows live in Parquet manifests, pixels in tar shards; a record names them by logical key and hash,
so it means the same on any machine (DESIGN: data moves as references).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Progress = Callable[[str, int, int], None]
"""Called with (phase, done, total); total is 0 while it is unknown."""

ManifestKind = Literal["images", "scores", "pairs", "restorations"]


def quiet(phase: str, done: int, total: int) -> None:
    """Take progress and say nothing."""


class Record(BaseModel):
    """Frozen and closed: an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Settings(BaseModel):
    """Frozen and closed settings of one stage; fields are documented where they are declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Manifest(Record):
    """Handle of one Parquet dataset."""

    kind: ManifestKind
    uri: str
    """Key inside the object store."""
    sha256: str
    rows: int
    parent: str = ""
    """sha256 of the manifest it was made from; empty for a first one."""
    settings: str = ""
    """Hash of the settings that made it."""


class Expectations(Record):
    """Outcome of one Great Expectations suite over one manifest."""

    suite: str
    passed: bool
    evaluated: int
    failed: tuple[str, ...] = ()
    """One sentence per broken rule, its key first, with the ids of some of its rows."""
    warned: tuple[str, ...] = ()
    """What does not fail but is worth a look, and overrides that were not needed."""
    overridden: tuple[str, ...] = ()
    """Broken rules that a person let pass, with the name and the reason."""
    skipped: tuple[str, ...] = ()
    """Rules that could not be evaluated, and why."""
    statistics: dict[str, float] = {}
    """Rows that break each rule, shares and drift, by the key of the rule."""
    docs: str = ""
    """Key of Great Expectations' page in the object store; empty when there is none."""


class DatasetVersion(Record):
    """A dataset that DVC can give back, with or without git."""

    name: str
    dvc_md5: str
    """Hash of the DVC directory, `<md5>.dir`."""
    files: int
    bytes: int
    manifest: Manifest
    expectations: Expectations
    git_revision: str
    """Revision of the program that made it; not part of any hash."""
    curated: Manifest | None = None
    """What curation decided of the same rows, where it is pinned beside the image manifest."""


class Curation(Record):
    """What curation decided: the manifest with a verdict for each row, and the counts."""

    manifest: Manifest
    dataset: DatasetVersion
    before: Expectations
    after: Expectations
    funnel: dict[str, int]
    """Rows by `kept`, `rejected:<reason>` and `failed:<reason>`; they sum to the rows of the manifest."""
    picture: str = ""
    """Key of the page that shows the dataset; empty until it is drawn."""


class PairSet(Record):
    """Seeded LQ/HQ pairs of the training scenes, as recipes and perhaps also as pixels."""

    manifest: Manifest
    curation: Curation
    expectations: Expectations
    too_small: int = 0
    """Kept training pictures with a side below the crop; they give no pair."""
    draws: Expectations | None = None
    """Drawn values against their ranges and shares."""
    looks: Expectations | None = None
    """Some pairs, made and measured; None until the page is drawn."""
    picture: str = ""
    """Key of the page that shows the pairs; empty until it is drawn."""

    @property
    def checked(self) -> tuple[Expectations, ...]:
        """Every contract that was held from the pictures to the pairs, in that order."""
        curation = self.curation
        suites = (curation.dataset.expectations, curation.before, curation.after, self.expectations, self.draws, self.looks)
        return tuple(suite for suite in suites if suite is not None)


class TrainRun(Record):
    """One training run and the adapter that it left."""

    run_id: str
    """MLflow run."""
    checkpoint: str
    """Key of the adapter file."""
    checkpoint_sha256: str
    step: int
    pairs: PairSet
    settings: str
    base: dict[str, str]
    """File name -> sha256 of every frozen part that the adapter needs."""
    loss_first: float
    """Mean loss of the first tenth of the steps."""
    loss_last: float
    """Mean loss of the last tenth of the steps."""
    notes: tuple[str, ...] = ()
    """What validation decided: which weights these are, why the run ended early."""


class MetricSummary(Record):
    """Mean of one metric for one method over one benchmark."""

    benchmark: str
    method: str
    """`lq`, `bilateral`, `lrp` or `restored`."""
    metric: str
    mean: float
    n: int
    higher_is_better: bool
    interval: tuple[float, float] | None = None
    """95 %, bootstrap over the pictures."""


class Worst(Record):
    """A picture on which the challenger falls behind."""

    image_id: str
    difference: float


class Paired(Record):
    """Challenger against champion under one benchmark and metric; positive differences are better."""

    benchmark: str
    metric: str
    n: int
    """Pictures that both were scored on."""
    mean: float
    interval: tuple[float, float]
    """95 %, bootstrap over pictures."""
    p_value: float
    """Wilcoxon's signed ranks, two-sided."""
    p_holm: float
    """Corrected over all comparisons of the two models."""
    wins: int
    ties: int
    losses: int
    worst: tuple[Worst, ...]


class EvalReport(Record):
    """Scores of one checkpoint on held-out pictures."""

    checkpoint_sha256: str
    benchmarks: tuple[str, ...]
    scores: Manifest
    """Per-image scores; they depend on the device and stand beside the pinned dataset."""
    summaries: tuple[MetricSummary, ...]
    sampler: dict[str, str | float | int | None]
    versions: dict[str, str]
    examples: str
    """Prefix of the pictures: `<benchmark>/<image id>/<method or hq>.png`."""
    html: str
    """Key of the report page."""
    sheet: str
    """Key of the contact sheet PNG."""
    seconds_per_picture: float | None = None
    """Median time to restore one picture, on the machine that evaluated."""
    champion: str = ""
    """Checkpoint of the model that it was compared with; empty where there was none."""
    paired: tuple[Paired, ...] = ()
    """Against that model, picture by picture."""
    repeatable: bool | None = None
    """The first picture, restored twice from one seed, was the same to the last bit."""

    def mean(self, benchmark: str, method: str, metric: str) -> float:
        """Look one mean up; raises KeyError when the cell was not measured."""
        for cell in self.summaries:
            if (cell.benchmark, cell.method, cell.metric) == (benchmark, method, metric):
                return cell.mean
        raise KeyError(f"{benchmark}/{method}/{metric} was not measured")


class BenchmarkReport(Record):
    """Scores of one model, or of pictures that something else made, on a benchmark in a folder."""

    benchmark: str
    digest: str
    """Of the benchmark's pictures; reports of one digest can be compared."""
    label: str
    """Who was measured."""
    identity: str
    """Hash of everything that decides its pictures."""
    method: str
    """Whose rows are its own; others stand beside it."""
    pictures: int
    scores: Manifest
    summaries: tuple[MetricSummary, ...]
    skipped: dict[str, str]
    """Metric -> why it was not measured."""
    missing: dict[str, str]
    """Picture -> why there is nothing to score."""
    unscored: int
    """Scores that are no number."""
    groups: dict[str, int]
    """Degradation -> pictures, where the benchmark has several."""
    seconds: dict[str, float]
    """Method -> median seconds of one picture, on the machine that evaluated."""
    parameters: dict[str, int]
    """Part -> number of parameters; empty for pictures of others."""
    versions: dict[str, str]
    examples: str
    """Prefix of the pictures: `<method>/<name>.png`."""
    html: str
    """Key of the report page."""
    against: str = ""
    """Who it was compared with."""
    paired: tuple[Paired, ...] = ()

    @property
    def name(self) -> str:
        """Names the report: what was measured on what."""
        return content_hash(self.benchmark, self.digest, self.identity)

    def text(self) -> str:
        """For a person."""
        lines = [f"{cell.method} {cell.metric} {cell.mean:.4g}{_within(cell.interval)} (n={cell.n})" for cell in self.summaries]
        lines += [f"Not measured: {metric}: {reason}" for metric, reason in self.skipped.items()]
        if self.missing:
            shown = [f"{name} ({reason})" for name, reason in list(self.missing.items())[:10]]
            more = f" and {len(self.missing) - len(shown)} more" if len(self.missing) > len(shown) else ""
            lines.append(f"Nothing to score for {len(self.missing)} of {self.pictures}: {', '.join(shown)}{more}")
        lines += [
            f"Against {self.against}: {one.metric} {one.mean:+.4g}{_within(one.interval)}, p {one.p_holm:.2g}"
            for one in self.paired
        ]
        return "\n".join(lines)


class GateResult(Record):
    """One pass/fail rule applied to one model version."""

    gate: str
    passed: bool
    observed: float
    required: float
    interval: tuple[float, float] | None = None
    """Confidence interval of `observed`, where the gate has one."""
    reason: str
    overridden: str = ""
    """"NAME: reason" of the reviewer who let a failure pass."""

    @property
    def refuses(self) -> bool:
        """It failed, and nobody let it pass."""
        return not self.passed and not self.overridden


class ModelVersion(Record):
    """One version in the registry."""

    name: str
    version: int
    alias: str
    run_id: str
    gates: tuple[GateResult, ...] = ()
    licence: str


class Restoration(Record):
    """What became of a batch of pictures to restore."""

    manifest: Manifest
    output: str
    model: str
    """`name@alias` as it was asked for, with the version that it meant."""
    restored: int
    reused: int
    failed: int
    review: int = 0
    """Results that a person shall look at."""
    review_page: str = ""
    """Key of the page of flagged results; empty where none is."""
    drift: str = ""
    """What the drift watch says in a sentence; empty where nothing was watched."""
    drift_page: str = ""
    drifted: tuple[str, ...] = ()
    """A sentence for each statistic that drifted."""
    moved: tuple[str, ...] = ()
    """Ids of pictures that make the difference: what a retraining should see."""
    job: str = ""
    """Id of the job, by which it is continued."""
    sidecar: str = ""
    """JSONL beside the results: a line for each input."""
    start_seconds: float = 0.0
    """From the plan until the first worker had loaded its model."""
    work_seconds: float = 0.0
    """From there until the last picture was written."""


def _within(interval: tuple[float, float] | None) -> str:
    return f" [{interval[0]:.4g}, {interval[1]:.4g}]" if interval else ""


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, no NaN."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return _ENCODER.encode(value)


def content_hash(*values: Any) -> str:
    """sha256 over the canonical JSON of the values; names every derived artefact."""
    text = "\n".join(canonical_json(value) for value in values)
    return hashlib.sha256(text.encode()).hexdigest()
