"""Settings of pair synthesis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from components.records import Settings

Positive = Annotated[int, Field(gt=0)]


class SynthesizeSettings(Settings):
    """Which degradations are drawn, how often, from which seed, and what is kept of them."""

    preset: str = "dreamclear"
    """Name in PRESETS of the degradation that makes LQ from HQ."""
    change: Mapping[str, Any] = {}
    """What differs from the preset: `flip_share`, or by the name of a variant its settings, for example
    `two-stage.noise_1.grey_share`."""
    epochs: Positive = 4
    """Draws per picture (paper section 4.1: 342 K pictures, 1.36 M pairs)."""
    crop_px: Positive = 1024
    """Side of the random HQ crop (paper section 4.1)."""
    seed: int = 0
    """Together with the picture's id and the epoch it decides everything that is drawn."""
    store: Literal["recipes", "shards"] = "recipes"
    """`recipes`: some 250 bytes a pair, training makes the pixels; `shards`: also WebDataset tars of HQ, LQ and recipe."""
    shard_pairs: Positive = 64
    """Pairs of one tar shard; a pair of 1024 px takes some 4 MB."""
    sampled: Positive = 24
    """Pairs that are made to be measured and looked at; the SSIM of one of 1024 px takes some seconds."""
    overrides: Mapping[str, str] = {}
    """Broken rule of a contract -> "NAME: reason" of the person who lets it pass; recorded with the outcome."""
    bands: Mapping[str, float] = {}
    """Limits of the contracts that differ from those in infra/expectations, for example `psnr_median_minimum`."""
