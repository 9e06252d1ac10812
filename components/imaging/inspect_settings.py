"""Limits of the checks on a restored picture, measured as docs/quality-control.md tells; cheap to import, for profiles."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.records import Settings

Above = Annotated[float, Field(gt=0)]
Factor = Annotated[float, Field(gt=1)]


class InspectSettings(Settings):
    """Largest values that pass; a value equal to its limit does."""

    checks: tuple[str, ...] = (
        "finite", "contrast", "consistency", "structure", "shift", "sharpness", "colour", "hue", "clipping", "changed",
    )  # fmt: skip
    """Names in CHECKS; those that are named are made."""
    contrast_loss: Factor = 3.0
    """How many times less contrast than the LQ, both averaged over 16 px."""
    contrast_gain: Factor = 1.15
    """How many times further light and dark may lie apart than in the LQ."""
    consistency_u8: Above = 16.0
    """Difference from the LQ in the worst 64 px tile, root mean square over averages of 16 px, levels of 255."""
    structure_factor: Factor = 4.0
    """A tile's squared difference from its reference over that of its neighbours, averages of 4 px."""
    shift_px: Above = 1.0
    """Displacement against the LQ that is left after three standard errors are taken off."""
    sharpness_factor: Factor = 10.0
    """How much further from its neighbours' sharpness a 64 px tile stands than in the reference, either way."""
    colour_ab: Above = 8.0
    """Difference of a* and b* from the LQ, root mean square over averages of 16 px (CIE 1976)."""
    hue_degrees: Above = 5.0
    """Turn of all hues together; looked at where the LQ has colour."""
    clipped_share: Above = 0.015
    """Share of the pixels that are at an end of the scale where the LQ is not near it."""
    unchanged_u8: Above = 0.5
    """Mean difference from the LQ below which nothing was done; a fault where the LQ needed something."""
