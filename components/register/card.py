"""The model card: what a version is, what it was made from, what it may be used for, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.records import EvalReport, TrainRun
from components.register.settings import RegisterSettings

NON_COMMERCIAL = {
    "FLUX.1-dev Non-Commercial": (
        "The frozen parts are FLUX.1-dev: its licence allows non-commercial use only, and so does this version's."
    ),
    "PolyForm-Noncommercial-1.0.0": (
        "The scores were made with pyiqa, which may be used for non-commercial purposes only (PolyForm Noncommercial 1.0.0)."
    ),
}
LIMITS = """- It restores natural photographs; text, faces, drawings and medical pictures were not evaluated apart.
- It draws what is likely, not what was there: do not read evidence or measurements off a restored picture.
- The scores below hold for the named synthetic degradations and the stated number of pictures, nothing else."""


def model_card(run: TrainRun, report: EvalReport, settings: RegisterSettings, lineage: Mapping[str, Any]) -> str:
    """Write the card in Markdown, from records only.

    Args:
        run: what was trained.
        report: how it scored.
        settings: name and licences.
        lineage: what `register.describe` gave; its counts and hashes are quoted.
    """
    sections = {
        f"# {settings.model}": "Universal image restoration: a low-quality photo in, a restored photo of the same size out.",
        "## Data": _data(run, lineage),
        "## Licences": _licences(settings),
        "## Scores": _scores(report),
        "## Limits": LIMITS,
        "## Made from": _origin(run, lineage),
    }
    return "\n\n".join(f"{title}\n\n{text}" for title, text in sections.items()) + "\n"


def _data(run: TrainRun, lineage: Mapping[str, Any]) -> str:
    dataset = run.pairs.curation.dataset
    counts = (
        f"Dataset `{dataset.name}`, DVC version `{dataset.dvc_md5}`: {dataset.manifest.rows} pictures; trained on "
        f"{lineage['training_images']} of them in {run.pairs.manifest.rows} pairs. Training and test side share no scene."
    )
    lines = [
        counts,
        "",
        "Licences of the training pictures:",
        "",
        *(f"- {licence}: {count}" for licence, count in lineage["training_licences"].items()),
    ]
    return "\n".join(lines)


def _licences(settings: RegisterSettings) -> str:
    lines = [f"- Weights: {settings.base_licence}.", f"- Scoring: {settings.scoring_licence}.", "- Program: Apache-2.0."]
    lines += [f"- {text}" for name, text in NON_COMMERCIAL.items() if name in (settings.base_licence, settings.scoring_licence)]
    if not settings.base_licence.startswith("FLUX"):
        lines.append("- No FLUX.1-dev weights are inside: the frozen parts were trained by this project.")
    return "\n".join(lines)


def _scores(report: EvalReport) -> str:
    """One table per benchmark: methods as rows, metrics as columns, with n."""
    blocks = []
    for benchmark in report.benchmarks:
        cells = [cell for cell in report.summaries if cell.benchmark == benchmark]
        metrics = {cell.metric: "↑" if cell.higher_is_better else "↓" for cell in cells}
        header = [benchmark, *(f"{metric} {arrow}" for metric, arrow in metrics.items()), "n"]
        lines = [_row(header), _row(["---"] * len(header))]
        for method in dict.fromkeys(cell.method for cell in cells):
            own = {cell.metric: cell for cell in cells if cell.method == method}
            means = [f"{own[metric].mean:.3f}" if metric in own else "" for metric in metrics]
            counts = sorted({cell.n for cell in own.values()})
            lines.append(_row([method, *means, " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))]))
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, f"Sampler: {_inline(report.sampler)}. Scored with {_inline(report.versions)}."])


def _origin(run: TrainRun, lineage: Mapping[str, Any]) -> str:
    base = [f"- frozen {name}: `{digest}`" for name, digest in sorted(run.base.items())]
    return "\n".join(
        [
            f"- program: revision `{lineage['git_revision']}`",
            f"- run: `{run.run_id}`, {run.step} steps, loss {run.loss_first:.4f} to {run.loss_last:.4f}",
            f"- settings: `{run.settings}`",
            *(f"- {name.replace('_', ' ')}: `{lineage[name]}`" for name in ("manifest", "curated_manifest", "pairs_manifest")),
            f"- adapter: `{run.checkpoint_sha256}`",
            *base,
        ]
    )


def _inline(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
