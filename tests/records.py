"""Small, complete records for tests that need some."""

from components.records import (
    Curation,
    DatasetVersion,
    EvalReport,
    Expectations,
    Manifest,
    MetricSummary,
    ModelVersion,
    PairSet,
    TrainRun,
)


def manifest(kind="images", name="a"):
    return Manifest(kind=kind, uri=f"manifests/{kind}/{name}.parquet", sha256=name * 64, rows=2)


def expectations(suite="ingest", *, passed=True):
    return Expectations(suite=suite, passed=passed, evaluated=3, failed=() if passed else ("rows in = rows out",))


def train_run(run_id="r1", *, passed=True):
    dataset = DatasetVersion(
        name="photos",
        dvc_md5="d.dir",
        files=2,
        bytes=10,
        manifest=manifest(),
        expectations=expectations(passed=passed),
        git_revision="g",
    )
    curation = Curation(
        manifest=manifest(name="b"),
        dataset=dataset,
        before=expectations("curate_before"),
        after=expectations("curate_after"),
        funnel={"kept": 1, "rejected:flat": 1},
    )
    pairs = PairSet(manifest=manifest("pairs", "c"), curation=curation, expectations=expectations("pairs"))
    return TrainRun(
        run_id=run_id,
        checkpoint="checkpoints/x/adapter.safetensors",
        checkpoint_sha256="e" * 64,
        step=3,
        pairs=pairs,
        settings="s",
        base={"backbone.safetensors": "f" * 64},
        loss_first=2.0,
        loss_last=1.0,
    )


def report(psnr, *, benchmarks=("moderate", "heavy"), lq=20.0):
    cells = tuple(
        MetricSummary(benchmark=name, method=method, metric="psnr", mean=mean, n=3, higher_is_better=True)
        for name in benchmarks
        for method, mean in (("lq", lq), ("restored", psnr))
    )
    return EvalReport(
        checkpoint_sha256="e" * 64,
        benchmarks=benchmarks,
        scores=manifest("scores"),
        summaries=cells,
        sampler={},
        versions={},
        examples="evaluations/x",
        html="h",
        sheet="s",
    )


def version(number, alias="challenger"):
    return ModelVersion(name="lucidflux", version=number, alias=alias, run_id=f"r{number}", licence="Apache-2.0")
