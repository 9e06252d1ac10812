"""Settings of evaluation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.records import Settings


class EvaluateSettings(Settings):
    """What is restored and how it is scored."""

    benchmarks: tuple[str, ...] = ("moderate", "heavy")
    """Names in BENCHMARKS; each degrades the held-out pictures in its own, frozen way."""
    metrics: tuple[str, ...] = ("psnr", "ssim", "piqe", "lr_psnr")
    """Names in METRICS."""
    crop_px: Annotated[int, Field(ge=192)] = 256
    """Side of the centre crop that is restored and scored; a smaller picture is used whole."""
    images: Annotated[int, Field(gt=0)] = 250
    """At most this many held-out pictures, first by id."""
    seed: int = 0
    """Seed of the degradations and of the sampler's noise."""
    sheet_rows: Annotated[int, Field(gt=0)] = 6
    """Pictures shown on the contact sheet and in the report."""
