"""Settings of registration and promotion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from components.records import Settings

PERMISSIVE = frozenset({"Apache-2.0", "MIT", "BSD-3-Clause", "CC0"})
"""Licences that allow commercial use without more; nobody has to acknowledge them."""


class ServingSettings(Settings):
    """What a served model takes; carried in its `model_config`, where whoever serves it may set other numbers.

    Pixels and sides have ingestion's limits, so that one table of verdicts holds for both.
    """

    max_pictures: Annotated[int, Field(gt=0)] = 8
    """Most pictures in one request; they are restored one after the other."""
    max_bytes: Annotated[int, Field(gt=0)] = 64 << 20
    """Longest file."""
    max_pixels: Annotated[int, Field(gt=0)] = 64_000_000
    """Largest width times height; together with the weights it decides how much memory a server needs."""
    max_side_px: Annotated[int, Field(gt=0)] = 32_768
    """Longest side."""
    max_steps: Annotated[int, Field(gt=0)] = 100
    """Most steps that a request may ask for."""
    read_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Processor time that a server gives to reading one picture."""


class RegisterSettings(Settings):
    """Under which name and licences a model is registered."""

    model: str = "lucidflux"
    """Name in the registry."""
    base_licence: str = "FLUX.1-dev Non-Commercial"
    """Licence of the frozen parts; a version carries it."""
    scoring_licence: str = "PolyForm-Noncommercial-1.0.0"
    """Licence of pyiqa, which scored the version."""
    licences_acknowledged: tuple[str, ...] = ()
    """Licences, word for word, that the operator has read and keeps; a version that needs others is not promoted."""

    serving: ServingSettings = ServingSettings()
    """What the model takes when it is served."""

    @property
    def licences_needed(self) -> tuple[str, ...]:
        """Licences of this version that somebody has to acknowledge."""
        return tuple(sorted({self.base_licence, self.scoring_licence} - PERMISSIVE))


class PromoteSettings(Settings):
    """What a model version must show before it becomes a champion."""

    kind: Literal["faithful", "perceptual"] = "faithful"
    """What is asked for: nearer to the truth, or better to look at. Each has a champion of its own, `champion-<kind>`."""
    serves: Literal["faithful", "perceptual"] = "faithful"
    """Which of the two is also `champion`, the one that restores."""
    gates: tuple[str, ...] = (
        "expectations",
        "licences",
        "leakage",
        "restores",
        "not_inferior",
        "superior",
        "repeatable",
        "budget",
    )
    """Names in GATES; all must pass."""
    floor_benchmark: str = "heavy"
    """Benchmark of the `restores` gate."""
    floor_psnr_gain_db: float = 1.5
    """Least gain of mean PSNR over LQ on that benchmark, in dB."""
    primary_benchmark: str = "heavy"
    """Benchmark of the `superior` gate."""
    primary_metric: str = ""
    """Metric of the `superior` gate; empty is psnr for a faithful champion and piqe for a perceptual one."""
    margins: Mapping[str, float] = {"psnr": 0.1, "ssim": 0.005, "lpips": 0.01, "piqe": 3.0}
    """The `not_inferior` gate for a faithful champion: how far each metric may fall; others are not held."""
    perceptual_margins: Mapping[str, float] = {"psnr": 1.0, "ssim": 0.05, "lpips": 0.02, "piqe": 1.0}
    """The same for a perceptual champion, which may give up some fidelity."""
    images_minimum: Annotated[int, Field(gt=0)] = 6
    """Fewest pictures on which two models are compared."""
    budget_seconds: Annotated[float, Field(ge=0)] = 0.0
    """Longest time for one evaluation picture, median; 0 is no limit."""
