"""Settings of the curation stage; defaults are the paper's (section 3.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from components.records import Settings


class CurateSettings(Settings):
    """Thresholds that selection applies to the scores; scoring knows none of them."""

    blur_minimum: Annotated[float, Field(ge=0)] = 150.0
    """Smallest variance of the Laplacian that passes (paper section 3.4)."""
    blur_maximum: Annotated[float, Field(gt=0)] = 8000.0
    """Largest variance of the Laplacian that passes (paper section 3.4)."""
    flat_share_maximum: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Largest share of flat 240x240 patches that passes (paper section 3.4)."""
    quality_metric: str = "clipiqa"
    """Name in METRICS of the no-reference metric that ranks what passed (paper: CLIP-IQA)."""
    keep_share: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Share of the ranked pictures that is kept, best first (paper: top 20 %)."""
    duplicate_overlap: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Two pictures are one when they share content over at least this part of the smaller one; the best ranked stays."""
    leak_overlap: Annotated[float, Field(gt=0, le=1)] = 0.25
    """A picture leaks when it shares content over at least this part of itself, or of a registered benchmark's picture."""
    held_out_share: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Share of the scenes that is kept for evaluation and never trained on."""
    split_seed: int = 0
    """Decides, with the scene's name, on which side of the split a scene stands."""
    overrides: Mapping[str, str] = {}
    """Broken rule of a contract -> "NAME: reason" of the person who lets it pass; recorded with the outcome."""
    bands: Mapping[str, float] = {}
    """Limits of the contract that differ from those in infra/expectations, for example `drift_maximum`."""
