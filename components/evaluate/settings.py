"""Settings of evaluation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.records import Settings


class EvaluateSettings(Settings):
    """What is restored and how it is scored."""

    benchmarks: tuple[str, ...] = ("moderate", "heavy")
    """Names in BENCHMARKS; each degrades the held-out pictures in its own, frozen way."""
    metrics: tuple[str, ...] = ("psnr", "ssim", "piqe", "lr_psnr", "semantic")
    """Names in METRICS."""
    crop_px: Annotated[int, Field(ge=192)] = 256
    """Side of the centre crop that is restored and scored; a smaller picture is used whole."""
    images: Annotated[int, Field(gt=0)] = 250
    """At most this many held-out pictures, first by id."""
    seed: int = 0
    """Seed of the degradations and of the sampler's noise."""
    sheet_rows: Annotated[int, Field(gt=0)] = 6
    """Pictures shown on the contact sheet and in the report."""


class BenchmarkSettings(Settings):
    """How a benchmark in a folder is measured."""

    folder: str = ""
    """Where benchmarks lie, each under its name; empty is `benchmarks` inside the home."""
    metrics: tuple[str, ...] = (
        "psnr",
        "ssim",
        "lpips",
        "clipiqa",
        "clipiqa+",
        "qalign",
        "musiq",
        "maniqa",
        "nima",
        "niqe",
        "piqe",
        "semantic",
    )
    """Names in METRICS: the ten of the paper, PIQE, and what the model's own image encoder sees; those whose weights are not
    here are left out, and the report says so."""
    side_px: Annotated[int, Field(gt=0)] | None = None
    """Longer side at which pictures are evaluated; None is the benchmark's own, for one's own benchmark HQ's size."""
    seed: int = 0
    """Seed of the sampler's noise."""
    sliders: Annotated[int, Field(ge=0)] = 6
    """Pictures in the report, the first by name."""
