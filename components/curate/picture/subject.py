"""What a page is about, and the paper's figures that stand beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from components.curate.settings import CurateSettings
from components.imaging import iqa
from components.records import Curation, Manifest


@dataclass(frozen=True)
class Metric:
    """The no-reference metric that ranked the pictures."""

    name: str
    """As people write it, for example `CLIP-IQA`."""
    label: str
    """One sentence on what it is and is not, for example `PIQE ranks here, not CLIP-IQA.`"""
    higher_is_better: bool


@dataclass(frozen=True)
class PaperFunnel:
    """Pictures after each stage as LucidFlux section 3.4 prints them."""

    listed: int = 2_900_000
    """2.3 M from the web and 557 K of Photo-Concept-Bucket."""
    filtered: int = 1_280_000
    """After blur and flat-region filtering."""
    ranked: int = 257_000
    """The top 20 % by CLIP-IQA."""
    trusted: int = 84_000
    """Of LSDIR, added without a rank."""
    total: int = 342_000


@dataclass(frozen=True)
class Subject:
    """A curated dataset and what it is shown beside."""

    title: str
    curated: Manifest
    """Image rows with a verdict each."""
    settings: CurateSettings
    """What curated it."""
    metric: Metric
    comparisons: Sequence[tuple[str, Manifest]] = ()
    """(name, image manifest) of other datasets; their kept rows are compared, with quality by the same metric."""
    encoder: Path | None = None
    """Bundle whose image encoder places the pictures of the map; None uses colour and texture."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Label -> address, for example of the Data Docs."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """More lines for the head of the page, for example the dataset version."""
    paper: PaperFunnel = field(default_factory=PaperFunnel)

    @classmethod
    def of(cls, curation: Curation, settings: CurateSettings) -> Self:
        """Show a curation by itself."""
        info = iqa.info(settings.quality_metric)
        metric = Metric(settings.quality_metric, info.about, info.higher_is_better)
        facts = {"dataset version": curation.dataset.dvc_md5, "image manifest": curation.dataset.manifest.sha256}
        return cls(f"{curation.dataset.name} {curation.manifest.sha256[:12]}", curation.manifest, settings, metric, facts=facts)
