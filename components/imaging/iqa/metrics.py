"""The table of metrics: direction, variant, weights, input size and licence of each."""

from __future__ import annotations

from collections.abc import Mapping

from components.errors import lookup
from components.records import Record

LICENCE = "PolyForm-Noncommercial-1.0.0"
"""Of pyiqa since April 2026; every metric below is its code."""
PAPER = "clipiqa"
"""What the paper ranks by (section 3.4)."""
CLIP_SIDE_PX = 1024
"""CLIP-IQA scales nothing itself, so score and cost follow the size of the picture. 1024 is the side at which LucidFlux
trains and is evaluated: there the score is the published protocol's, untouched."""


class MetricInfo(Record):
    """What a metric is, apart from its value."""

    variant: str
    """Tells it from metrics of the same name; pyiqa's own name where there are no weights."""
    higher_is_better: bool
    needs_reference: bool
    """Fidelity metrics compare with HQ; perceptual ones look at the picture alone."""
    about: str
    """Channel and range."""
    minimum_side_px: int = 1
    """Smaller pictures score NaN."""
    licence: str = LICENCE
    """Of the code; the weights have their own, in `components.backends.pins`."""
    weights: tuple[str, ...] = ()
    """Pinned sets that it needs, of one file each."""
    input_px: int | None = None
    """Side of the square that is scored, cut from the middle and scaled; None scores the picture as it is."""
    redegraded: bool = False
    """Looks at the picture after the recipe of its LQ was applied to it again, and takes that LQ as the reference."""
    accelerated: bool = False
    """Runs on the accelerator where there is one; the others always run on the CPU."""


METRICS: Mapping[str, MetricInfo] = {
    "psnr": MetricInfo(variant="psnr", higher_is_better=True, needs_reference=True, about="RGB, dB; equal pictures 80"),
    "psnry": MetricInfo(variant="psnry", higher_is_better=True, needs_reference=True, about="luma, dB; equal pictures 80"),
    "lr_psnr": MetricInfo(
        variant="psnr",
        higher_is_better=True,
        needs_reference=True,
        about="RGB, dB; LR-consistency: the picture, degraded again as its LQ was, against that LQ",
        redegraded=True,
    ),
    "ssim": MetricInfo(variant="ssim", higher_is_better=True, needs_reference=True, about="luma, up to 1", minimum_side_px=11),
    "ssimc": MetricInfo(variant="ssimc", higher_is_better=True, needs_reference=True, about="RGB, up to 1", minimum_side_px=11),
    "ms_ssim": MetricInfo(
        variant="ms_ssim", higher_is_better=True, needs_reference=True, about="luma, up to 1", minimum_side_px=161
    ),
    "fsim": MetricInfo(variant="fsim", higher_is_better=True, needs_reference=True, about="colour, up to 1", minimum_side_px=2),
    "gmsd": MetricInfo(variant="gmsd", higher_is_better=False, needs_reference=True, about="luma, from 0", minimum_side_px=7),
    "nlpd": MetricInfo(variant="nlpd", higher_is_better=False, needs_reference=True, about="luma, from 0"),
    "lpips": MetricInfo(
        variant="alex-0.1",
        higher_is_better=False,
        needs_reference=True,
        about="RGB, from 0; AlexNet with the linear layers of version 0.1",
        minimum_side_px=32,
        weights=("lpips-alex", "alexnet"),
        accelerated=True,
    ),
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
    "niqe": MetricInfo(
        variant="original",
        higher_is_better=False,
        needs_reference=False,
        about="luma (YIQ), from 0; the original parameters, not MATLAB's",
        minimum_side_px=192,
        weights=("niqe",),
    ),
    "clipiqa": MetricInfo(
        variant="rn50-5-prompt-pairs",
        higher_is_better=True,
        needs_reference=False,
        about="RGB, 0..1; mean over five pairs of opposite prompts, without position embedding",
        weights=("clip-rn50",),
        input_px=CLIP_SIDE_PX,
        accelerated=True,
    ),
    "clipiqa+": MetricInfo(
        variant="rn50-learned-prompts",
        higher_is_better=True,
        needs_reference=False,
        about="RGB, 0..1; one pair of prompts learned on KonIQ-10k",
        weights=("clip-rn50", "clipiqa-plus"),
        input_px=CLIP_SIDE_PX,
        accelerated=True,
    ),
    "musiq": MetricInfo(
        variant="koniq10k",
        higher_is_better=True,
        needs_reference=False,
        about="RGB, about 0..100; scales of 224 and 384 px beside the full size",
        minimum_side_px=32,
        weights=("musiq-koniq",),
        accelerated=True,
    ),
    "maniqa": MetricInfo(
        variant="koniq10k",
        higher_is_better=True,
        needs_reference=False,
        about="RGB, about 0..1; mean of 20 crops of 224 px at fixed places; the kadid and pipal variants differ widely",
        minimum_side_px=32,
        weights=("maniqa-koniq",),
        accelerated=True,
    ),
    "nima": MetricInfo(
        variant="inception-resnet-v2-ava",
        higher_is_better=True,
        needs_reference=False,
        about="RGB, 1..10; scales to 299 px itself; taste, not only defects",
        minimum_side_px=32,
        weights=("nima-ava",),
        accelerated=True,
    ),
}
"""Every metric of the paper's tables but Q-Align (seven billion parameters), and those that run without weights.

Left out: mad (0 below 161 px, 4 s a picture), cw_ssim (a million on flat pictures), vif (NaN on smooth ones),
vsi (0.009 away from its authors' program). ms_ssim is up to 0.005 away from its authors' program.
"""


def info(name: str) -> MetricInfo:
    """Describe a metric.

    Raises:
        UnknownName: with a suggestion.
    """
    return lookup(METRICS, name, kind="metric")


def stands_in(name: str) -> str:
    """Sentence for reports when another metric than the paper's ranks; empty for the paper's.

    Raises:
        UnknownName: with a suggestion.
    """
    if name == PAPER:
        return ""
    reason = "" if info(name).weights else ": it needs no weights"
    return f"{name.upper()} ranks here, not the paper's CLIP-IQA{reason}."
