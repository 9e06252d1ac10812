"""Settings of registration and promotion."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.records import Settings

PERMISSIVE = frozenset({"Apache-2.0", "MIT", "BSD-3-Clause", "CC0"})
"""Licences that allow commercial use without more; nobody has to acknowledge them."""


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

    @property
    def licences_needed(self) -> tuple[str, ...]:
        """Licences of this version that somebody has to acknowledge."""
        return tuple(sorted({self.base_licence, self.scoring_licence} - PERMISSIVE))


class PromoteSettings(Settings):
    """What a model version must show before it becomes the champion."""

    gates: tuple[str, ...] = ("expectations", "licences", "restores", "not_worse")
    """Names in GATES; all must pass."""
    floor_benchmark: str = "heavy"
    """Benchmark of the `restores` gate."""
    floor_psnr_gain_db: float = 1.5
    """Least gain of mean PSNR over LQ on that benchmark, in dB."""
    margin_psnr_db: Annotated[float, Field(ge=0)] = 0.1
    """The `not_worse` gate: how far mean PSNR may fall below the champion's on any benchmark, in dB."""
