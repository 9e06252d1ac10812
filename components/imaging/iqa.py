"""Image quality metrics; the one home of pyiqa, which is imported at the first score (it takes seconds).

Scores stay as the library gives them; direction is metadata. Each picture is scored alone, so a score never
depends on its batch. Only metrics that need no weight file are listed: nothing is ever downloaded here.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from components.errors import lookup
from components.imaging.codec import Image
from components.records import Record

LICENCE = "PolyForm-Noncommercial-1.0.0"
"""Of pyiqa since April 2026; every metric below is its code."""


class MetricInfo(Record):
    """What a metric is, apart from its value."""

    variant: str
    """Name in pyiqa; part of what a score means."""
    higher_is_better: bool
    needs_reference: bool
    """Fidelity metrics compare with HQ; perceptual ones look at the picture alone."""
    about: str
    """Channel and range."""
    minimum_side_px: int = 1
    """Smaller pictures score NaN."""
    licence: str = LICENCE
    weights: str | None = None
    """Weight file it needs; None for none."""


METRICS: Mapping[str, MetricInfo] = {
    "psnr": MetricInfo(variant="psnr", higher_is_better=True, needs_reference=True, about="RGB, dB; equal pictures 80"),
    "psnry": MetricInfo(variant="psnry", higher_is_better=True, needs_reference=True, about="luma, dB; equal pictures 80"),
    "ssim": MetricInfo(variant="ssim", higher_is_better=True, needs_reference=True, about="luma, up to 1", minimum_side_px=11),
    "ssimc": MetricInfo(variant="ssimc", higher_is_better=True, needs_reference=True, about="RGB, up to 1", minimum_side_px=11),
    "ms_ssim": MetricInfo(
        variant="ms_ssim", higher_is_better=True, needs_reference=True, about="luma, up to 1", minimum_side_px=161
    ),
    "fsim": MetricInfo(variant="fsim", higher_is_better=True, needs_reference=True, about="colour, up to 1", minimum_side_px=2),
    "gmsd": MetricInfo(variant="gmsd", higher_is_better=False, needs_reference=True, about="luma, from 0", minimum_side_px=7),
    "nlpd": MetricInfo(variant="nlpd", higher_is_better=False, needs_reference=True, about="luma, from 0"),
    "piqe": MetricInfo(
        variant="piqe",
        higher_is_better=False,
        needs_reference=False,
        about="luma, 0..100; NaN or 100 where nothing is textured",
        minimum_side_px=16,
    ),
    "entropy": MetricInfo(
        variant="entropy", higher_is_better=True, needs_reference=False, about="luma, 0..8 bits; rewards noise, never rank by it"
    ),
}
"""Metrics that run without weights.

Left out: mad (0 below 161 px, 4 s a picture), cw_ssim (a million on flat pictures), vif (NaN on smooth ones),
vsi (0.009 away from its authors' program). ms_ssim is up to 0.005 away from its authors' program.
"""


def info(name: str) -> MetricInfo:
    """Describe a metric.

    Raises:
        UnknownName: with a suggestion.
    """
    return lookup(METRICS, name, kind="metric")


def score(name: str, images_u8: Sequence[Image], references_u8: Sequence[Image] | None = None) -> list[float]:
    """Score pictures on the CPU, one by one.

    Args:
        name: key of METRICS.
        images_u8: (H, W, 3) RGB uint8 each, of any sizes.
        references_u8: the HQ picture of each, of equal size; only for metrics that need one.

    Returns:
        Raw scores; NaN where the metric says nothing about a picture, e.g. because it is too small.

    Raises:
        UnknownName: there is no such metric.
        ValueError: references are missing, too many or of other sizes.
    """
    metric = info(name)
    if not metric.needs_reference:
        return [_value(metric, image) for image in images_u8]
    if references_u8 is None or len(references_u8) != len(images_u8):
        found = 0 if references_u8 is None else len(references_u8)
        raise ValueError(f"Expected one reference per picture for '{name}', got {found} for {len(images_u8)} pictures.")
    for image, reference in zip(images_u8, references_u8, strict=True):
        if image.shape != reference.shape:
            raise ValueError(f"Expected pictures of equal size for '{name}', got {image.shape} and {reference.shape}.")
    return [_value(metric, *pair) for pair in zip(images_u8, references_u8, strict=True)]


def versions() -> dict[str, str]:
    """Say what else a score depends on, without loading it."""
    return {name: importlib.metadata.version(name) for name in ("pyiqa", "torch")} | {"device": "cpu"}


def _value(metric: MetricInfo, *images_u8: Image) -> float:
    if min(images_u8[0].shape[:2]) < metric.minimum_side_px:
        return float("nan")
    tensors = [_tensor(image) for image in images_u8]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(_load(metric.variant)(*tensors))


def _tensor(image_u8: Image) -> Any:
    """Make (1, 3, H, W) float32 in [0, 1]."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(image_u8.transpose(2, 0, 1)[None])).float() / 255


@cache
def _load(variant: str) -> Callable[..., Any]:
    ensure_pkg_resources()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyiqa

        metric: Callable[..., Any] = pyiqa.create_metric(variant, device="cpu")
    return metric


def ensure_pkg_resources() -> None:
    """Give openai-clip the `pkg_resources.packaging` that setuptools no longer brings."""
    if "pkg_resources" in sys.modules or importlib.util.find_spec("pkg_resources") is not None:
        return
    import packaging.version

    stand_in = types.ModuleType("pkg_resources")
    vars(stand_in)["packaging"] = packaging
    sys.modules["pkg_resources"] = stand_in
