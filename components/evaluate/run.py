"""Evaluate: restore held-out pictures under each benchmark, score every method, keep the rows.

The scores say how the model stands beside its input (LQ), a bilateral filter and the light restorer alone
(LRP); nothing is claimed that the rows do not show.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from components.backends import manifest
from components.backends.report import Slider, contact_sheet
from components.backends.storage import Storage
from components.evaluate.page import NAMES, report_page
from components.evaluate.restore_pairs import METHODS, Example, comes_out_the_same, restore_held_out
from components.evaluate.settings import EvaluateSettings
from components.evaluate.summary import summarise
from components.imaging import codec, held_out, iqa
from components.imaging.iqa.paired import compare
from components.imaging.restorer import Restorer
from components.imaging.sampler import SamplerSettings
from components.records import Curation, EvalReport, Paired, Progress, TrainRun, content_hash, quiet

OPERATOR = "evaluate-2"
WORST_SHOWN = 6
"""Regressions with a slider."""


def evaluate(  # noqa: PLR0913 (a stage with its places)
    run: TrainRun,
    settings: EvaluateSettings,
    *,
    on: Curation,
    store: Storage,
    base: Path,
    sampler: SamplerSettings,
    work: Path,
    champion: EvalReport | None = None,
    curve: Sequence[tuple[float, float]] = (),
    progress: Progress = quiet,
) -> EvalReport:
    """Restore and score the held-out pictures of a run's dataset.

    Args:
        run: whose adapter is judged.
        settings: benchmarks, metrics, crop.
        on: whose kept pictures on the test side are restored; no training of the run saw their scenes.
        store: holds the shards and receives scores and pictures.
        base: folder of the frozen parts.
        sampler: how the model samples.
        work: folder where finished pictures are found again by a re-run.
        champion: report of the model that this one is compared with, picture by picture.
        curve: (step, loss) of the training, for the page.
        progress: called after each picture.
    """
    restorer = Restorer(base, store.fetch(run.checkpoint), sampler)
    pictures = held_out.find(store, on.manifest, settings.images)
    identity = content_hash(OPERATOR, run.checkpoint_sha256, run.base, on.manifest.sha256, settings, sampler)
    examples = restore_held_out(store, pictures, restorer, settings, work=work / f"evaluate-{identity[:16]}", progress=progress)
    prefix = f"evaluations/{identity[:16]}"
    for example in examples:
        for name, png in example.pictures.items():
            store.put(f"{prefix}/{example.benchmark}/{example.image_id}/{name}.png", png)
    rows = [row for example in examples for row in example.scores]
    summaries = summarise(rows, settings.benchmarks, METHODS, settings.metrics)
    shown = _shown(examples, settings)
    sheet = _sheet(shown)
    paired = compare(rows, manifest.rows(store, champion.scores)) if champion else ()
    sliders = [*_first(shown), *(worst_sliders(store, prefix, champion, paired) if champion else ())]
    page = report_page(run, summaries, paired, sheet=sheet, sliders=sliders, curve=curve)
    return EvalReport(
        checkpoint_sha256=run.checkpoint_sha256,
        benchmarks=settings.benchmarks,
        scores=manifest.write(store, "scores", rows, parent=on.manifest.sha256, settings=identity),
        summaries=summaries,
        sampler=sampler.model_dump(mode="json"),
        versions=iqa.versions(),
        examples=prefix,
        html=store.put(f"{prefix}/report.html", page.encode()),
        sheet=store.put(f"{prefix}/sheet.png", sheet),
        seconds_per_picture=statistics.median(example.seconds for example in examples),
        champion=champion.checkpoint_sha256 if champion else "",
        paired=paired,
        repeatable=comes_out_the_same(examples[0], restorer, settings.seed),
    )


def _shown(examples: Sequence[Example], settings: EvaluateSettings) -> list[Example]:
    """The first pictures of each benchmark."""
    per_benchmark = max(1, settings.sheet_rows // len(settings.benchmarks))
    return [
        example
        for benchmark in settings.benchmarks
        for example in [example for example in examples if example.benchmark == benchmark][:per_benchmark]
    ]


def _first(shown: Sequence[Example]) -> list[Slider]:
    return [
        Slider(
            f"{one.benchmark}, {one.image_id[:8]}: left is the input, right is restored",
            one.pictures["lq"],
            one.pictures["restored"],
        )
        for one in shown
    ]


def worst_sliders(store: Storage, prefix: str, champion: EvalReport, paired: Sequence[Paired]) -> list[Slider]:
    """The pictures on which the model falls furthest behind the champion: that one's result beside its own."""
    worst = [(one, picture) for one in paired for picture in one.worst]
    worst.sort(key=lambda pair: pair[1].difference / max(1e-12, pair[0].interval[1] - pair[0].interval[0]))
    sliders: dict[str, Slider] = {}
    for one, picture in worst:
        place = f"{one.benchmark}/{picture.image_id}/restored.png"
        if len(sliders) < WORST_SHOWN and place not in sliders and store.exists(f"{champion.examples}/{place}"):
            title = f"{one.benchmark}, {picture.image_id[:8]}, {one.metric} {picture.difference:+.3g}"
            before, after = (store.read(f"{where}/{place}") for where in (champion.examples, prefix))
            sliders[place] = Slider(f"{title}: left is the champion, right is this model", before, after)
    return list(sliders.values())


def _sheet(shown: Sequence[Example]) -> bytes:
    """PNG with a row per picture and a column per method, the truth last."""
    names = (*METHODS, "hq")
    rows = [[codec.decode(example.pictures[name]).image_u8 for name in names] for example in shown]
    titles = [*(NAMES[method] for method in METHODS), "HQ (truth)"]
    return codec.encode_png(contact_sheet(rows, titles))
