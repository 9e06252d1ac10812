"""How often captions speak of an image's defects, which would mislead a restorer that reads them (paper appendix A.1, A.2).

A caption is degradation-related when it names at least one defect of the picture itself. Judged by a lexicon, offline, or by a
language model behind an OpenAI-compatible address, whose answer must have the paper's form.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from components.errors import SourceError
from components.records import Progress, Record, quiet

Terms = Mapping[str, tuple[str, ...]]
"""Category -> the words that were found."""

LEXICON: Mapping[str, re.Pattern[str]] = {
    category: re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
    for category, words in {
        "Blur-related": (
            "blur|blurs|blurry|blurred|blurring|blurriness|defocus|defocused|unfocused|out[- ]of[- ]focus|soft[- ]focus|unsharp|"
            "not sharp|lacks? sharpness|lack of sharpness|unclear|indistinct"
        ),
        "Noise-related": "noise|noisy|grainy|graininess|film grain|speckled?|artifacts?|artefacts?",
        "Quality-related": (
            "(?:low|poor|bad)[- ](?:resolution|quality|res|definition)|lowres|pixelat(?:ed|ion)|compression|compressed|"
            "blocky|degraded|degradation"
        ),
        "Exposure-related": (
            "over-?exposed|over-?exposure|under-?exposed|under-?exposure|washed[- ]out|blown[- ]out|colou?r cast|"
            "colou?r distortion|discolou?red|discolou?ration|faded colou?rs?"
        ),
        "Damage-related": (
            "scratches|scratched|stains?|stained|torn (?:photo|edges?|print)|creases?|creased|"
            "(?:damaged|aged|aging|ageing|weathered) (?:photo|photograph|image|picture|print)"
        ),
    }.items()
}
"""Words by the paper's categories. It cannot tell a blurred background that was meant from a blurred picture."""

PUBLISHED: Mapping[str, float] = {"LLaVA-v1.6-Vicuna-13B": 17.0, "Qwen2.5-VL-7B-Instruct": 24.0}
"""Occurrence rates in per cent on RealLQ250, table 5 of the paper; not measured here."""
SCORE_Z = 1.959964
"""Of a 95 % interval."""


class Caption(Record):
    """One caption of one image."""

    image: str
    text: str
    model: str = ""
    """What wrote it."""


class Finding(Record):
    """What one caption says of defects."""

    image: str
    model: str
    text: str
    terms: dict[str, tuple[str, ...]]
    """By category; empty for a caption that is free of them."""


class ModelRate(Record):
    """One line of the table."""

    model: str
    captions: int
    related: int
    rate: float
    interval: tuple[float, float]
    """95 %, Wilson's."""
    categories: dict[str, int]
    """Captions that name each."""
    repeated_images: int
    """Images with more than one caption of this model."""
    disagreeing_images: int
    """Of those, images whose captions do not agree about being degradation-related."""
    within_variance: float | None
    """Mean over those images of p (1 - p), p being the share of its captions that are (A.2); None without any."""


class Audit(Record):
    """All lines."""

    judge: str
    """`lexicon`, or model and address."""
    models: tuple[ModelRate, ...]
    findings: tuple[Finding, ...]

    def text(self) -> str:
        """The table, as the paper's table 5, with its figures below."""
        lines = [f"Captions that speak of degradation, judged by {self.judge}:"]
        for one in self.models:
            low, high = (100 * end for end in one.interval)
            lines.append(f"  {one.model or 'captions'}: {100 * one.rate:.1f} % [{low:.1f}, {high:.1f}] of {one.captions}")
            lines += [f"    {name}: {count}" for name, count in one.categories.items() if count]
            if one.within_variance is not None:
                lines.append(
                    f"    of {one.repeated_images} images with several captions {one.disagreeing_images} disagree; "
                    f"variance within an image {one.within_variance:.3f}"
                )
        published = ", ".join(f"{name} {rate:.0f} %" for name, rate in PUBLISHED.items())
        return "\n".join([*lines, f"Published on RealLQ250 (paper, table 5; not measured here): {published}."])


def read(path: Path) -> list[Caption]:
    """Read captions: JSON lines or CSV with `image` and `caption` (and `model`), or text with one caption a line.

    Raises:
        SourceError: the file cannot be read, has another form, or no caption.
    """
    try:
        rows = list(_rows(path, path.read_text(encoding="utf-8-sig")))
        captions = [Caption(image=str(row["image"]), text=str(row["caption"]), model=str(row.get("model") or "")) for row in rows]
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"Cannot read the captions in {path}: {error}.") from error
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise SourceError(
            f"Expected 'image' and 'caption' in every line of {path}, as JSON lines or CSV with a header; found: {error}."
        ) from error
    if not captions:
        raise SourceError(f"Expected captions in {path}, it holds none.")
    return captions


def by_lexicon(caption: Caption) -> Terms:
    """Find words of LEXICON."""
    found = {name: tuple(match.group().lower() for match in pattern.finditer(caption.text)) for name, pattern in LEXICON.items()}
    return {name: words for name, words in found.items() if words}


def audit(captions: Sequence[Caption], judge: Callable[[Caption], Terms], *, name: str, progress: Progress = quiet) -> Audit:
    """Judge every caption and count by model.

    Args:
        captions: what is judged.
        judge: gives the defects that a caption names; raises for one that it cannot judge.
        name: of the judge.
        progress: called after each caption.
    """
    findings = []
    for number, caption in enumerate(captions, start=1):
        terms = {category: tuple(words) for category, words in judge(caption).items()}
        findings.append(Finding(image=caption.image, model=caption.model, text=caption.text, terms=terms))
        progress("captions", number, len(captions))
    models = dict.fromkeys(one.model for one in findings)
    rates = tuple(_rate(model, [one for one in findings if one.model == model]) for model in models)
    return Audit(judge=name, models=rates, findings=tuple(findings))


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    share, z2 = hits / n, SCORE_Z**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = SCORE_Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def _rate(model: str, findings: Sequence[Finding]) -> ModelRate:
    by_image: dict[str, list[bool]] = defaultdict(list)
    for one in findings:
        by_image[one.image].append(bool(one.terms))
    repeated = [answers for answers in by_image.values() if len(answers) > 1]
    shares = [sum(answers) / len(answers) for answers in repeated]
    related = sum(bool(one.terms) for one in findings)
    return ModelRate(
        model=model,
        captions=len(findings),
        related=related,
        rate=related / len(findings),
        interval=wilson(related, len(findings)),
        categories={name: sum(name in one.terms for one in findings) for name in LEXICON},
        repeated_images=len(repeated),
        disagreeing_images=sum(0 < share < 1 for share in shares),
        within_variance=math.fsum(share * (1 - share) for share in shares) / len(shares) if shares else None,
    )


def _rows(path: Path, text: str) -> Iterable[Mapping[str, Any]]:
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        return (json.loads(line) for line in text.splitlines() if line.strip())
    if path.suffix.lower() == ".csv":
        return csv.DictReader(text.splitlines())
    return _lines(text)


def _lines(text: str) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield {"image": str(number), "caption": line.strip()}


class Answer(Record):
    """What a language model must answer: the paper's form (prompt A.1)."""

    caption_content: str
    degradation_keywords: tuple[str, ...]
    degradation_categories: dict[str, tuple[str, ...]]
    degradation_score: float
    severity_level: str
    primary_issues: tuple[str, ...]
    analysis_summary: str


def terms_of(answer: str) -> Terms:
    """Read an answer.

    Raises:
        SourceError: it has another form, or a category that the paper does not have.
    """
    try:
        read_answer = Answer.model_validate_json(answer)
    except ValidationError as error:
        first = error.errors()[0]
        raise SourceError(f"Expected the paper's JSON form, got {answer[:200]!r}: {first['loc']}: {first['msg']}.") from error
    if unknown := sorted(set(read_answer.degradation_categories) - set(LEXICON)):
        raise SourceError(f"Expected the categories {', '.join(LEXICON)}, got also: {', '.join(unknown)}.")
    return {name: words for name, words in read_answer.degradation_categories.items() if words}
