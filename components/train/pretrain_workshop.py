"""What the stages of the pre-training share: where they read and write, their crops, and measures of pictures.

Shapes: B batch, C channels, H W picture height and width in px.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from components.imaging.degrade import recipe as degrade
from components.train.pretrain_loop import Loop
from components.train.pretrain_photos import CropPool, Image
from models import bundle
from models.bundle import FROZEN_FILES, FrozenParts
from models.config import CONFIG_FILE, NetworkConfig

CROP_PX = 128
CURVE_FILE = "loss.json"


@dataclass(frozen=True)
class Workshop:
    """What every stage is given."""

    out: Path
    """Bundle directory."""
    work: Path
    """Checkpoints of running stages."""
    pool: CropPool
    seed: int
    steps: int
    start: Path | None = None
    """Bundle whose weights a stage begins with, where it can; None begins with random ones."""
    adapter: Path | None = None
    """Adapter trained on the bundle, for the decoder to learn from."""

    def parts(self, config: NetworkConfig, *, need: tuple[str, ...], learn: tuple[str, ...] = ()) -> FrozenParts:
        """Modules of the bundle, with the weights of the parts that this stage builds on and of those it begins with."""
        path = self.out / CONFIG_FILE
        parts = bundle.build(NetworkConfig.load(self.out) if path.is_file() else config)
        for name, module in parts.modules().items():
            if name in need:
                bundle.read_weights(self.out / FROZEN_FILES[name], module)
            elif name in learn and self.start is not None:
                bundle.read_weights(self.start / FROZEN_FILES[name], module)
            module.eval().requires_grad_(requires_grad=False)
        return parts

    def keep(self, parts: FrozenParts, names: tuple[str, ...], loop: Loop) -> None:
        """Write config, the named parts and the stage's loss curve."""
        parts.config.save(self.out)
        for name in names:
            bundle.write_weights(self.out / FROZEN_FILES[name], parts.modules()[name])
        path = self.out / CURVE_FILE
        curves = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        every = max(1, len(loop.curve) // 12)
        curves[loop.name] = {"steps": loop.steps, "minutes": round(loop.seconds / 60, 1), "curve": loop.curve[::-every][::-1]}
        path.write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")


def to_01(image_u8: Image) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) in [0, 1]."""
    return torch.from_numpy(image_u8).permute(0, 3, 1, 2).float().div(255).contiguous()


def bf16() -> contextlib.AbstractContextManager[None]:
    """Autocast on the processor; pays where matrix products dominate."""
    return torch.autocast("cpu", dtype=torch.bfloat16)


def trainable(*modules: torch.nn.Module) -> None:
    """Switch modules back to training."""
    for module in modules:
        module.train().requires_grad_(requires_grad=True)


def gradient_loss(a_BCHW: Tensor, b_BCHW: Tensor) -> Tensor:
    """L1 between the horizontal and vertical differences of two pictures."""
    difference = a_BCHW - b_BCHW
    return difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()


def pairs(shop: Workshop, rng: np.random.Generator, size: int, side_px: int = CROP_PX) -> tuple[Tensor, Tensor]:
    """HQ crops and their LQ, both (B, 3, H, W) in [0, 1].

    Three in four are degraded as the `tiny` preset draws, one in four by white noise alone, which that preset never
    leaves as it is (it always shrinks and compresses) and cameras in the dark do.
    """
    settings = degrade.preset("tiny").model_copy(update={"crop_px": None, "flip_share": 0.0})
    hq_u8 = shop.pool.batch(rng, size, side_px)
    seed = int(rng.integers(2**31))
    lq_u8 = [degrade.apply(crop, degrade.draw(seed, str(index), 0, settings))[1] for index, crop in enumerate(hq_u8)]
    for index in np.flatnonzero(rng.random(size) < 0.25):
        noise = rng.uniform(3, 50) * rng.standard_normal(hq_u8[index].shape)
        lq_u8[index] = np.clip(np.rint(hq_u8[index] + noise), 0, 255).astype(np.uint8)
    return to_01(hq_u8), to_01(np.stack(lq_u8))


def psnr(a_01: Tensor, b_01: Tensor) -> Tensor:
    """Mean PSNR in dB over the pictures of a batch in [0, 1]."""
    return (-10 * torch.log10((a_01 - b_01).square().mean((1, 2, 3)).clamp_min(1e-10))).mean()
