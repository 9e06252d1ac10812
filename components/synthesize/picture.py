"""The page of a set of pairs: some of them with their recipes, how much damage they have, and everything that was drawn."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.backends import contracts, manifest
from components.backends.pages import charts
from components.backends.pages.axes import Axis, covering
from components.backends.pages.charts import Mark
from components.backends.pages.style import STYLE
from components.backends.pages.wording import count, number, plural, share
from components.backends.report import data_uri, fill
from components.backends.storage import Storage
from components.backends.tables import Tables
from components.imaging import codec
from components.imaging.degrade.parameters import Choice, Parameter, Uniform, parameters
from components.imaging.degrade.recipe import Recipe
from components.records import Expectations, PairSet, Progress, quiet
from components.synthesize import looks, values
from components.synthesize.run import bands, degradation, held
from components.synthesize.settings import SynthesizeSettings
from components.synthesize.template import OWN_STYLE, SECTIONS, TEMPLATE

SHOWN = 12
CUT_PX = 256
"""Side of the square from the middle that is shown of each picture, at full size."""
JPEG_QUALITY = 92
DAMAGE_BINS = 16
SHORT = 12


def show(
    pairs: PairSet, settings: SynthesizeSettings, *, store: Storage, docs: Path | None = None, progress: Progress = quiet
) -> PairSet:
    """Measure some pairs, hold them against the contract, and write the page, `pictures/<sha256>.html`.

    Args:
        pairs: what `synthesize` gave.
        settings: what made them.
        store: holds manifests and shards, and receives the page.
        docs: local folder for Great Expectations' page.
        progress: called after each pair.

    Returns:
        The same with `looks` and `picture`.

    Raises:
        ContractError: the measured pairs break an expectation.
    """
    with Tables(store) as tables:
        rows = looks.sample(tables, pairs.manifest, settings.sampled)
        measured = looks.measure(store, pairs.manifest, rows, progress)
        tables.table("looks", "looks", measured)
        seen = pairs.model_copy(update={"looks": held("looks", tables, "looks", settings, docs, {})})
    html = _html(seen, settings, store, rows[:SHOWN], measured).encode()
    key = store.put(f"pictures/{hashlib.sha256(html).hexdigest()}.html", html)
    return seen.model_copy(update={"picture": key})


def _html(
    pairs: PairSet, settings: SynthesizeSettings, store: Storage, rows: list[looks.Row], measured: Sequence[Mapping[str, Any]]
) -> str:
    drawn = manifest.read_part(store, values.summary_key(pairs.manifest))
    known = parameters(degradation(settings))
    by_id = {row["id"]: row for row in measured}
    title = f"Pairs of {pairs.curation.dataset.name} {pairs.manifest.sha256[:SHORT]}"
    cut = "." if settings.crop_px <= CUT_PX else f"; {CUT_PX} px from the middle at full size."
    return fill(
        TEMPLATE,
        window=title,
        title=title,
        label="",
        links={},
        sections=SECTIONS,
        style=STYLE + OWN_STYLE,
        lead=_lead(pairs, settings),
        figures=_figures(pairs, settings, measured),
        facts=_facts(pairs, settings),
        pairs=[_pair(one, by_id[one[0]["id"]]) for one in looks.make(store, rows)],
        cut=cut,
        measured=count(len(measured)),
        damage=[_damage(measured, "psnr", "PSNR", "dB"), _damage(measured, "ssim", "SSIM", "")],
        sigmas=number(contracts.load("draws").numbers(bands(settings, "draws"))["sigmas_maximum"]),
        choices=_choices(known, drawn, settings),
        ranges=_ranges(known, drawn),
        checks=[_check(one) for one in (pairs.expectations, pairs.draws, pairs.looks) if one],
    )


def _lead(pairs: PairSet, settings: SynthesizeSettings) -> str:
    small = f" {plural(pairs.too_small, 'picture is', 'pictures are')} smaller than the crop: no pair." if pairs.too_small else ""
    pictures = plural(pairs.manifest.rows // settings.epochs, "picture")
    kept = "as recipes" if settings.store == "recipes" else "as recipes and as tar shards"
    return (
        f"{plural(pairs.manifest.rows, 'pair')} of {pictures} in {plural(settings.epochs, 'epoch')}, degraded by "
        f"'{settings.preset}'{' with changes' if settings.change else ''}, kept {kept}.{small}"
    )


def _figures(pairs: PairSet, settings: SynthesizeSettings, measured: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    psnr = float(np.median([row["psnr"] for row in measured]))
    side = f"{settings.crop_px} px"
    return [("pairs", count(pairs.manifest.rows)), ("side of a pair", side), ("median PSNR, dB", f"{psnr:.1f}")]


def _facts(pairs: PairSet, settings: SynthesizeSettings) -> dict[str, str]:
    made = settings.model_dump(exclude={"overrides", "bands"})
    return {
        "pair manifest": pairs.manifest.sha256,
        "curated manifest": pairs.curation.manifest.sha256,
        "hash of the settings": pairs.manifest.settings,
        **{name.replace("_", " "): str(value) for name, value in made.items() if value != {}},
    }


def _pair(pair: looks.Pair, scores: Mapping[str, Any]) -> dict[str, Any]:
    row, hq_u8, lq_u8 = pair
    drawn = Recipe.unpack(row["recipe"])
    ssim = "–" if scores["ssim"] is None else f"{scores['ssim']:.2f}"
    return {
        "id": row["id"][:SHORT],
        "variant": drawn.variant,
        "epoch": row["epoch"],
        "hq": _middle(hq_u8),
        "lq": _middle(lq_u8),
        "psnr": f"{scores['psnr']:.1f}",
        "ssim": ssim,
        "lines": drawn.lines(),
    }


def _middle(image_u8: codec.Image) -> str:
    top, left = (max(0, (side - CUT_PX) // 2) for side in image_u8.shape[:2])
    return data_uri(codec.encode_jpeg(np.ascontiguousarray(image_u8[top : top + CUT_PX, left : left + CUT_PX]), JPEG_QUALITY))


def _chart(name: str, bins: Sequence[int], axis: Axis, marks: Sequence[Mark], *, label: str, words: str) -> dict[str, str]:
    none = [0] * len(bins)
    return {"name": name, "svg": charts.histogram(name, [bins, none, none], axis, marks, label=label), "words": words}


def _damage(measured: Sequence[Mapping[str, Any]], column: str, name: str, unit: str) -> dict[str, str]:
    found = np.array([row[column] for row in measured if row[column] is not None], np.float64)
    if not len(found):
        return _chart(name, [0], Axis(0, 1), (), label=name, words="The pictures are too small for it.")
    axis = covering(float(found.min()), float(found.max()))
    bins, _ = np.histogram(found, DAMAGE_BINS, (axis.low, axis.high))
    low, median, high = np.quantile(found, (0.05, 0.5, 0.95))
    words = (
        f"Median {number(float(median))}{' ' + unit if unit else ''}; 5 to 95 %: {number(float(low))} to {number(float(high))}."
    )
    label = f"{name}, {unit}" if unit else name
    return _chart(f"{name} of LQ against HQ", bins.tolist(), axis, [Mark(float(median), "median")], label=label, words=words)


def _choices(
    known: Mapping[str, Parameter], drawn: Sequence[Mapping[str, Any]], settings: SynthesizeSettings
) -> list[dict[str, Any]]:
    judged = {row["id"]: row for row in values.judged(drawn, degradation(settings))}
    off = contracts.load("draws").numbers(bands(settings, "draws"))["sigmas_maximum"]
    seen: dict[str, dict[str, int]] = defaultdict(dict)
    for row in drawn:
        seen[row["name"]][row["word"]] = row["n"]
    listed = []
    for name, parameter in known.items():
        if isinstance(parameter, Choice) and len(parameter.shares) > 1 and (found := seen.get(name)):
            n = sum(found.values())
            words = [*parameter.shares, *(word for word in found if word not in parameter.shares)]
            rows = [_chosen(word, found.get(word, 0), n, parameter, judged[f"{name} = {word}"], off) for word in words]
            listed.append({"name": name, "rows": rows})
    return listed


def _chosen(word: str, seen: int, n: int, parameter: Choice, judged: Mapping[str, Any], off: float) -> dict[str, Any]:
    expected = parameter.shares.get(word, 0.0)
    wrong = bool(judged["outside"]) or abs(judged["sigmas"]) > off
    sigmas = "never expected" if judged["outside"] else f"{judged['sigmas']:+.1f}"
    return {
        "word": word,
        "n": count(seen),
        "share": share(seen, n),
        "expected": share(expected, 1),
        "sigmas": sigmas,
        "off": wrong,
    }


def _ranges(known: Mapping[str, Parameter], drawn: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    seen: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for row in drawn:
        seen[row["name"]][row["word"]] = row
    return [_range(name, one, seen[name]) for name, one in known.items() if isinstance(one, Uniform) and name in seen]


def _range(name: str, parameter: Uniform, found: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    low, high = parameter.low, parameter.high
    axis = Axis(low, high + parameter.whole) if high > low or parameter.whole else covering(low, high)
    bins = [found[f"{bin_:02d}"]["n"] if f"{bin_:02d}" in found else 0 for bin_ in range(values.BINS)]
    n, outside = sum(row["n"] for row in found.values()), sum(found[word]["n"] for word in ("below", "above") if word in found)
    least, most = min(row["low"] for row in found.values()), max(row["high"] for row in found.values())
    words = f"{plural(n, 'value')} from {number(least)} to {number(most)}, {count(outside) if outside else 'none'} outside."
    return _chart(
        name, bins, axis, [Mark(low, number(low)), Mark(high, number(high))], label=name.rpartition(".")[2], words=words
    )


def _check(checked: Expectations) -> dict[str, Any]:
    lines = [*checked.failed, *checked.warned, *checked.overridden, *checked.skipped]
    words = f"{'passed' if checked.passed else 'failed'}, {plural(checked.evaluated, 'rule')}"
    return {"suite": checked.suite, "words": words, "lines": lines}
