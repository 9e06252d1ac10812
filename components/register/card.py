"""The model card: what a version is, what it was made from, what it may be used for, and how good it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from components.records import EvalReport, MetricSummary, TrainRun
from components.register.settings import RegisterSettings

NON_COMMERCIAL = {
    "FLUX.1-dev Non-Commercial": (
        "The frozen parts are FLUX.1-dev: its licence allows non-commercial use only, and so does this version's."
    ),
    "PolyForm-Noncommercial-1.0.0": (
        "The scores were made with pyiqa, which may be used for non-commercial purposes only (PolyForm Noncommercial 1.0.0)."
    ),
}
USE = (
    (
        "For: natural photographs of nothing sensitive, with unknown, mixed damage such as noise, blur and compression; private "
        "photos, archives, research, benchmarks."
    ),
    (
        "Not for: medicine, microscopy, remote sensing, evidence, documents whose text must stay readable. It draws what is "
        "likely, not what was there: read neither facts nor measurements off a restored picture."
    ),
    (
        "Do not use it to get around privacy or consent (faces, number plates, watermarks, what somebody hid on purpose), to "
        "deceive, or to make pictures of people who did not agree. Where a result may decide something about people, a person "
        "must look at it first."
    ),
)
"""After the paper's appendix A.9."""
LIMITS = (
    "Large: a network of the released size wants a strong GPU, and several of them to be trained.",
    "Memory grows with what the network sees at once, attention with the square of it; larger pictures are restored in tiles.",
    "Steps: below about 15 a network of the released size smooths fine texture away; each step costs the same time.",
    "Text, faces, drawings and medical pictures were not evaluated apart.",
    "The scores below hold for the named benchmarks and the stated number of pictures, nothing else.",
)
"""After the paper's appendix A.8."""
BRIEF_CHARACTERS = 5000
"""What MLflow's database keeps of a description."""

Rows = Iterable[Sequence[Any]]


def model_card(run: TrainRun, report: EvalReport, settings: RegisterSettings, lineage: Mapping[str, Any]) -> str:
    """Write the card in Markdown, from records only.

    Args:
        run: what was trained.
        report: how it scored.
        settings: name and licences.
        lineage: what `describe` gave, with what `cost` gave as `cost`; its counts and hashes are quoted.
    """
    sections = {
        f"# {settings.model}": "Universal image restoration: a low-quality photo in, a restored photo of the same size out.",
        "## Intended use": _list(USE),
        "## Licences": _licences(settings),
        "## Limits": _list(LIMITS),
        "## Data": _data(run, lineage),
        "## Scores": _scores(report),
        "## Against the champion": _against(report),
        "## Known failures": _failures(lineage),
        "## Cost": _cost(lineage.get("cost", {})),
        "## Made from": _origin(run, lineage),
    }
    return "\n\n".join(f"{title}\n\n{text}" for title, text in sections.items() if text) + "\n"


def brief(card: str, most: int = BRIEF_CHARACTERS) -> str:
    """The card without the sections that make it longer than a description may be; it says which."""
    if len(card) <= most:
        return card
    first, *sections = card.split("\n\n## ")
    end = "\n\nThe whole card is card.md among the files of this version; left out here: {0}.\n"
    left = most - len(first) - len(end) - sum(len(section.partition("\n")[0]) + 2 for section in sections)
    kept, cut = [first], []
    for section in sections:
        if (needed := len(section) + 5) <= left:
            kept.append(section)
            left -= needed
        else:
            cut.append(section.partition("\n")[0])
    return "\n\n## ".join(kept).rstrip("\n") + end.format(", ".join(cut))


def _licences(settings: RegisterSettings) -> str:
    lines = [f"- Weights: {settings.base_licence}.", f"- Scoring: {settings.scoring_licence}.", "- Program: Apache-2.0."]
    lines += [f"- {text}" for name, text in NON_COMMERCIAL.items() if name in (settings.base_licence, settings.scoring_licence)]
    if not settings.base_licence.startswith("FLUX"):
        lines.append("- No FLUX.1-dev weights are inside: the frozen parts were trained by this project.")
    return "\n".join(lines)


def _data(run: TrainRun, lineage: Mapping[str, Any]) -> str:
    dataset = run.pairs.curation.dataset
    text = (
        f"Dataset `{dataset.name}`, DVC version `{dataset.dvc_md5}`: {dataset.manifest.rows} pictures; trained on "
        f"{lineage['training_images']} of them in {run.pairs.manifest.rows} pairs. Training and test side share no scene."
    )
    licences, sources = (
        _table([title, "trained on"], [[name or "not stated", count] for name, count in lineage[key].items()])
        for title, key in (("licence", "training_licences"), ("source", "training_sources"))
    )
    funnel = _table(["curation", "pictures"], lineage["funnel"].items())
    return "\n\n".join([text, licences, sources, funnel])


def _scores(report: EvalReport) -> str:
    """One table per benchmark: methods as rows, metrics as columns with their 95 % interval, n."""
    blocks = []
    for benchmark in report.benchmarks:
        cells = [cell for cell in report.summaries if cell.benchmark == benchmark]
        metrics = {cell.metric: "↑" if cell.higher_is_better else "↓" for cell in cells}
        rows = []
        for method in dict.fromkeys(cell.method for cell in cells):
            own = {cell.metric: cell for cell in cells if cell.method == method}
            counts = sorted({cell.n for cell in own.values()})
            means = [_mean(own[metric]) if metric in own else "" for metric in metrics]
            rows.append([method, *means, " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))])
        blocks.append(_table([benchmark, *(f"{metric} {arrow}" for metric, arrow in metrics.items()), "n"], rows))
    note = "In brackets: 95 % intervals, by bootstrap over the pictures."
    return "\n\n".join([*blocks, f"{note} Sampler: {_inline(report.sampler)}. Scored with {_inline(report.versions)}."])


def _mean(cell: MetricSummary) -> str:
    return f"{cell.mean:.3f}{f' [{cell.interval[0]:.3f}, {cell.interval[1]:.3f}]' if cell.interval else ''}"


def _against(report: EvalReport) -> str:
    if not report.paired:
        return ""
    rows = [
        [
            *(one.benchmark, one.metric, f"{one.mean:+.3f} [{one.interval[0]:+.3f}, {one.interval[1]:+.3f}]"),
            *(f"{one.wins}/{one.ties}/{one.losses}", f"{one.p_holm:.2g}", one.n),
        ]
        for one in report.paired
    ]
    table = _table(["benchmark", "metric", "difference", "wins/ties/losses", "p (Holm)", "n"], rows)
    return (
        f"Champion: adapter `{report.champion}`. The same pictures, restored by both; positive is better.\n\n{table}\n\n"
        "Furthest behind it: " + "; ".join(_behind(report)) + "."
    )


def _behind(report: EvalReport) -> list[str]:
    found = []
    for one in report.paired:
        pictures = (f"`{picture.image_id[:12]}` {picture.difference:+.3g}" for picture in one.worst)
        if one.worst:
            found.append(f"{one.benchmark}, {one.metric}: {', '.join(pictures)}")
    return found or ["nowhere"]


def _failures(lineage: Mapping[str, Any]) -> str:
    """The lowest scores: what to look at before trusting the means."""
    rows = [
        [benchmark, metric, ", ".join(f"`{row['image_id'][:12]}` ({row['value']:.3f})" for row in found)]
        for (benchmark, metric), found in groupby(lineage["worst"], key=lambda row: (row["benchmark"], row["metric"]))
    ]
    return _table(["benchmark", "metric", "worst pictures"], rows) if rows else "No score of a restored picture is recorded."


def _cost(cost: Mapping[str, float]) -> str:
    """What is known; what is not recorded is said to be so."""
    lines = {
        "trained parameters": ("trained_parameters", "{:,}"),
        "frozen parameters": ("frozen_parameters", "{:,}"),
        "updates": ("updates", "{:,}"),
        "training, hours (mean of the logged updates times their number)": ("training_hours", "{:.2f}"),
        "training, most memory of a process, GiB": ("training_memory_gib", "{:.1f}"),
        "training, most GPU memory, GiB": ("training_gpu_memory_gib", "{:.1f}"),
        "restoring an evaluation picture, seconds (median, on the machine that evaluated)": ("seconds_per_picture", "{:.2f}"),
        "restoring, GPU memory for a tile, GiB (computed from the sizes)": ("gpu_memory_gib", "{:.2f}"),
    }
    rows = [[name, form.format(cost[key]) if key in cost else "not recorded"] for name, (key, form) in lines.items()]
    return _table(["what", "how much"], rows)


def _origin(run: TrainRun, lineage: Mapping[str, Any]) -> str:
    base = [f"- frozen {name}: `{digest}`" for name, digest in sorted(run.base.items())]
    return "\n".join(
        [
            f"- program: revision `{lineage['git_revision']}`",
            f"- run: `{run.run_id}`, {run.step} steps, loss {run.loss_first:.4f} to {run.loss_last:.4f}",
            *(f"- {note}" for note in run.notes),
            f"- settings: `{run.settings}`",
            *(f"- {name.replace('_', ' ')}: `{lineage[name]}`" for name in ("manifest", "curated_manifest", "pairs_manifest")),
            f"- adapter: `{run.checkpoint_sha256}`",
            *base,
        ]
    )


def _list(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)  # one line each: MLflow shows line ends


def _inline(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)


def _table(header: Sequence[str], rows: Rows) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |" for cells in lines)
