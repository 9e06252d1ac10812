"""Metrics that compare with a reference."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from components.imaging.iqa.description import MetricInfo

_similar = partial(MetricInfo, needs_reference=True, higher_is_better=True)
_distant = partial(MetricInfo, needs_reference=True, higher_is_better=False)

FIDELITY: Mapping[str, MetricInfo] = {
    "psnr": _similar(variant="psnr", channel="rgb", about="dB; equal pictures 80"),
    "psnry": _similar(variant="psnry", channel="luma", about="dB; equal pictures 80"),
    "lr_psnr": _similar(
        variant="psnr",
        channel="rgb",
        about="dB; LR-consistency: the picture, degraded again as its LQ was, against that LQ",
        redegraded=True,
    ),
    "semantic": _similar(
        variant="encoder-cosine",
        channel="rgb",
        about="up to 1; cosine of what the model's image encoder sees, tokens averaged; models of one encoder can be compared",
        licence="Apache-2.0",
        own_encoder=True,
    ),
    "ssim": _similar(variant="ssim", channel="luma", about="up to 1", minimum_side_px=11),
    "ssimc": _similar(variant="ssimc", channel="rgb", about="up to 1", minimum_side_px=11),
    "ms_ssim": _similar(
        variant="ms_ssim", channel="luma", about="up to 1; up to 0.005 away from its authors' program", minimum_side_px=161
    ),
    "cw_ssim": _similar(
        variant="cw_ssim",
        channel="luma",
        about="up to 1; NaN where the reference has no texture, of which pyiqa makes a million",
        minimum_side_px=64,
        perfect=1.0,
    ),
    "fsim": _similar(variant="fsim", channel="rgb", about="up to 1", minimum_side_px=2),
    "vif": _similar(
        variant="vif",
        channel="luma",
        about="from 0, above 1 where contrast was added; NaN where the reference is too smooth to judge by",
        minimum_side_px=33,
        perfect=1.0,
    ),
    "vsi": _similar(variant="vsi", channel="rgb", about="up to 1; up to 0.009 away from its authors' program"),
    "gmsd": _distant(variant="gmsd", channel="luma", about="from 0", minimum_side_px=7),
    "nlpd": _distant(variant="nlpd", channel="luma", about="from 0"),
    "mad": _distant(
        variant="mad",
        channel="rgb",
        about="from 0; slow, 40 times SSIM; pyiqa is wrong by factors at odd sides and gives 0 below 128 px",
        minimum_side_px=128,
        multiple_px=2,
    ),
    "lpips": _distant(
        variant="alex-0.1",
        channel="rgb",
        about="from 0; AlexNet with the linear layers of version 0.1",
        minimum_side_px=32,
        weights=("lpips-alex", "alexnet"),
        accelerated=True,
    ),
}
"""PSNR, SSIM and LPIPS of the paper's tables, and what runs without weights."""
