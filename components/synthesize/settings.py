"""Settings of pair synthesis."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.records import Settings


class SynthesizeSettings(Settings):
    """Which degradations are drawn, how often, from which seed."""

    preset: str = "dreamclear"
    """Name in PRESETS of the degradation that makes LQ from HQ."""
    epochs: Annotated[int, Field(gt=0)] = 4
    """Draws per picture (paper section 4.1: 342 K pictures, 1.36 M pairs)."""
    crop_px: Annotated[int, Field(gt=0)] = 1024
    """Side of the random HQ crop (paper section 4.1)."""
    seed: int = 0
    """Together with the picture's id and the epoch it decides everything that is drawn."""
