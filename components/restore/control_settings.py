"""Settings of quality control and of the drift watch; cheap to import, so that profiles load."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.imaging.inspect_settings import InspectSettings
from components.records import Settings


class QualitySettings(Settings):
    """What a batch does with a result that inspection refuses."""

    retries: Annotated[int, Field(ge=0)] = 2
    """How often a picture is restored again; 0 only flags."""
    inspect: InspectSettings = InspectSettings()
    """Checks and their limits."""
    shown: Annotated[int, Field(gt=0)] = 60
    """Flagged pictures on the review page, the worst; the others are counted."""


class DriftSettings(Settings):
    """When a batch counts as drifted."""

    psi_maximum: Annotated[float, Field(ge=0)] = 0.25
    """Largest population stability index that passes; 0.1 is small, 0.25 significant (Siddiqi 2006)."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """Probability of any alarm for a batch from the same source."""
    pictures_minimum: Annotated[int, Field(ge=2)] = 50
    """With fewer pictures on either side a statistic is not judged."""
    batches: Annotated[int, Field(ge=0)] = 5
    """Last batches that are compared with, together."""
    sample: Annotated[int, Field(gt=0)] = 2000
    """Pictures that are kept of a batch; bounds memory and the size of what is stored."""
    named: Annotated[int, Field(ge=0)] = 500
    """Ids of pictures in a report."""
    statistics: tuple[str, ...] = (
        "brightness", "contrast", "blur", "flat_share", "noise", "colourfulness", "megapixels", "jpeg_quality",
    )  # fmt: skip
    """Names in STATISTICS that are measured, of inputs and of outputs."""
