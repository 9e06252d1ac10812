"""Metrics that look at one picture alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from components.imaging.iqa.description import MetricInfo

CLIP_SIDE_PX = 1024
"""CLIP-IQA scales nothing itself, so score and cost follow the size of the picture. 1024 is the side at which LucidFlux
trains and is evaluated: there the score is the published protocol's, untouched."""

_good = partial(MetricInfo, needs_reference=False, higher_is_better=True)
_bad = partial(MetricInfo, needs_reference=False, higher_is_better=False)

PERCEPTUAL: Mapping[str, MetricInfo] = {
    "piqe": _bad(variant="piqe", channel="luma", about="0..100; NaN or 100 where nothing is textured", minimum_side_px=16),
    "entropy": _good(variant="entropy", channel="luma", about="0..8 bits; rewards noise, never rank by it"),
    "niqe": _bad(
        variant="original",
        channel="luma",
        about="from 0; the original parameters, not MATLAB's",
        minimum_side_px=192,
        weights=("niqe",),
    ),
    "brisque": _bad(
        variant="libsvm-live",
        channel="luma",
        about="about 0..100; of a support vector machine trained anew on LIVE: not the scores of the authors' program",
        minimum_side_px=32,
        weights=("brisque-svm", "brisque-range"),
    ),
    "clipiqa": _good(
        variant="rn50-5-prompt-pairs",
        channel="rgb",
        about="0..1; mean over five pairs of opposite prompts, without position embedding",
        weights=("clip-rn50",),
        input_px=CLIP_SIDE_PX,
        accelerated=True,
    ),
    "clipiqa+": _good(
        variant="rn50-learned-prompts",
        channel="rgb",
        about="0..1; one pair of prompts learned on KonIQ-10k",
        weights=("clip-rn50", "clipiqa-plus"),
        input_px=CLIP_SIDE_PX,
        accelerated=True,
    ),
    "musiq": _good(
        variant="koniq10k",
        channel="rgb",
        about="about 0..100; scales of 224 and 384 px beside the full size",
        minimum_side_px=32,
        weights=("musiq-koniq",),
        accelerated=True,
    ),
    "maniqa": _good(
        variant="koniq10k",
        channel="rgb",
        about="about 0..1; mean of 20 crops of 224 px at fixed places; the kadid and pipal variants differ widely",
        minimum_side_px=32,
        weights=("maniqa-koniq",),
        accelerated=True,
    ),
    "nima": _good(
        variant="inception-resnet-v2-ava",
        channel="rgb",
        about="1..10; scales to 299 px itself; taste, not only defects",
        minimum_side_px=32,
        weights=("nima-ava",),
        accelerated=True,
    ),
    "qalign": _good(
        variant="one-align-quality-fp16",
        channel="rgb",
        about="1..5; a language model of 7 billion parameters: 16 GB of accelerator memory; scales to 448 px itself",
        weights=("one-align",),
        accelerated=True,
    ),
}
"""Seven of the paper's ten metrics, and what runs without weights or from small files of parameters."""
