"""What a memory mode needs on the device, computed from the network's sizes alone.

Weights are counted exactly. Working memory counts the largest tensors that live at once in each stage, at batch 1 and
with attention that keeps no T x T matrix; each formula names what it counts.

Letters: T image tokens, N prompt and semantic tokens, J = T + N, D width, r MLP ratio, L double blocks, H W px.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from models.config import NetworkConfig
from models.convert import shapes_of
from models.quantised import Weights, chosen, is_modulation, quantised_bytes
from models.streamed import WINDOW

Memory = Literal["full", "offload", "low"]
"""`full`: every part stays on the device; `offload`: the network's weights are streamed, the other parts come one at a
time, same results; `low`: the blocks in 8 or 4 bits, one part at a time, other results."""
MODES: tuple[Memory, ...] = ("full", "low", "offload")
"""Those that move fewest weights in a step first."""
NETWORK = ("backbone", "adapter")
HALF_PARTS = (*NETWORK, "encoder", "connector")
"""Parts in bfloat16 on a GPU (released); the others stay in float32."""
FULL_BYTES = 4
ROWS = {"double": 12, "single": 3, "last": 2}
"""Rows of scales, shifts and gates of a block, which the mode `exact` keeps per step."""
PICTURES = 8
"""Float32 pictures (3, H, W) around the stages: LQ, LRP, result, their signed copies, sums and weights of blending."""


@dataclass(frozen=True)
class Precision:
    """How weights are held on a device."""

    element_bytes: int
    """Of the parts that the released program computes in bfloat16."""
    weights: Weights
    """Kind of the quantised ones in the mode `low`."""


ON_GPU = Precision(2, "int4")
ON_PROCESSOR = Precision(4, "int8")


@dataclass(frozen=True)
class Stage:
    """One part at work."""

    part: str
    weights: int
    """Bytes of weights on the device, those of other parts included."""
    working: int
    """Bytes of what it computes with."""

    @property
    def total(self) -> int:
        """Bytes in all."""
        return self.weights + self.working


@dataclass(frozen=True)
class Estimate:
    """What one mode needs."""

    mode: Memory
    stages: tuple[Stage, ...]

    @property
    def peak(self) -> Stage:
        """The stage that needs most."""
        return max(self.stages, key=lambda stage: stage.total)

    def text(self) -> str:
        """One line, in GiB."""
        peak = self.peak
        return f"{self.mode}: {peak.total / 2**30:.1f} GiB ({peak.part}: weights {peak.weights / 2**30:.1f})"


@functools.lru_cache(maxsize=64)
def shapes(part: str, config: NetworkConfig) -> Mapping[str, tuple[int, ...]]:
    """Shape of each tensor of a part, made once per config."""
    return shapes_of(part, config)


def sizes_of(part: str, config: NetworkConfig, element_bytes: int, weights: Weights | None = None) -> dict[str, int]:
    """Bytes of each tensor of a part on the device.

    Args:
        part: its name.
        config: sizes.
        element_bytes: of the parts that the released program computes in bfloat16; 2 on a GPU, 4 on the processor.
        weights: kind of the quantised ones; None quantises nothing.
    """
    size = element_bytes if part in HALF_PARTS else FULL_BYTES
    made = shapes(part, config)
    bytes_of = {name: math.prod(shape) * _element(name, size) for name, shape in made.items()}
    if weights is not None and part in NETWORK:
        bytes_of |= {name: quantised_bytes(shape, weights, size) for name, shape in made.items() if chosen(name, shape, weights)}
    return bytes_of


def _element(name: str, size: int) -> int:
    return 8 if name.endswith("relative_position_index") else size  # SwinIR's only integers


def streamed(name: str, mode: Memory) -> bool:
    """Whether a tensor of the network comes only while its module runs."""
    return mode == "offload" or (mode == "low" and is_modulation(name))


def network_weights(config: NetworkConfig, mode: Memory, precision: Precision) -> int:
    """Bytes of the network's weights on the device while it works: the resident ones and the largest of the streamed."""
    kind = precision.weights if mode == "low" else None
    modules: dict[str, int] = {}
    resident = 0
    for part in NETWORK:
        for name, size in sizes_of(part, config, precision.element_bytes, kind).items():
            if streamed(name, mode):
                module = f"{part}.{name.rpartition('.')[0]}"
                modules[module] = modules.get(module, 0) + size
            else:
                resident += size
    return resident + sum(sorted(modules.values())[-WINDOW:])


def estimate(
    config: NetworkConfig,
    mode: Memory,
    height_px: int,
    width_px: int,
    *,
    precision: Precision = ON_GPU,
    codec_px: int | None = None,
    steps: int = 28,
) -> Estimate:
    """What a mode needs for one picture of at most a tile, batch 1, with an adapter, in the mode `exact`.

    Args:
        config: sizes.
        mode: which.
        height_px: of what the network sees at once.
        width_px: likewise.
        precision: of the device.
        codec_px: side of what autoencoder and light restorer see at once; None: as much as the network.
        steps: of the schedule, for the tables.
    """
    codec = codec_px**2 if codec_px else height_px * width_px
    around = PICTURES * 3 * FULL_BYTES * height_px * width_px
    size = precision.element_bytes
    kept, moment = _network(config, height_px * width_px, size, steps)
    working = {
        "prior": _prior(config, codec),
        "autoencoder": _autoencoder(config, codec),
        "encoder": _encoder(config, size) + kept,  # it takes its turn inside the network's
        "network": kept + moment,
    }
    own = {part: sum(sizes_of(part, config, size).values()) for part in ("prior", "autoencoder", "encoder", "prompt")}
    own["encoder"] += 8 * (config.encoder.image_px // config.encoder.patch_px) ** 2  # positions, which no file holds
    own["network"] = network_weights(config, mode, precision)
    everything = sum(own.values())
    stages = (
        Stage(part, everything if mode == "full" else own["prompt"] + own[part], needed + around)
        for part, needed in working.items()
    )
    return Estimate(mode, tuple(stages))


def fitting(
    config: NetworkConfig,
    free_bytes: int,
    height_px: int,
    width_px: int,
    *,
    precision: Precision = ON_GPU,
    codec_px: int | None = None,
    exact_only: bool = False,
) -> Estimate | None:
    """The mode that fits a device's free memory and moves fewest weights; None where none does.

    Args:
        config: sizes.
        free_bytes: on the device.
        height_px: of what the network sees at once.
        width_px: likewise.
        precision: of the device.
        codec_px: side of what autoencoder and light restorer see at once.
        exact_only: leave out the mode that changes results.
    """
    for mode in MODES:
        needed = estimate(config, mode, height_px, width_px, precision=precision, codec_px=codec_px)
        if needed.peak.total <= free_bytes and not (exact_only and mode == "low"):
            return needed
    return None


def _network(config: NetworkConfig, pixels: int, element_bytes: int, steps: int) -> tuple[int, int]:
    """What mode `exact` keeps over the steps, tables and prepared tokens, and the larger of two moments.

    Tables: rows of every block for every step. Prepared: text N D, hints 2 T D, rotations 2 T d float32.
    Single block: joined stream, its norm, q, k, v, attention (6 J D), the MLP's two inner tensors and what is joined
    for the way out (3 r + 1) J D, beside the outputs of the branches; and the whole weight of a quantised layer,
    1.5 (1 + r) D D. A double block needs less. Mode `plain` holds 3 L T D of control samples more.
    Hint convolutions: two results at the picture's size.
    """
    size, width, ratio = config.backbone, config.backbone.hidden, config.backbone.mlp_ratio
    image = pixels // config.latent.token_px**2
    semantic = (config.encoder.image_px // config.encoder.patch_px) ** 2 if config.conditioner.semantic else 0
    text = config.prompt_tokens + semantic
    joined, doubles = image + text, size.double_blocks
    branches = len(config.conditioner.pictures)
    blocks = doubles + branches * config.conditioner.double_blocks
    rows = ROWS["double"] * blocks + ROWS["single"] * size.single_blocks + ROWS["last"] + 2 * branches * doubles
    tables = rows * steps * width
    prepared = (text + branches * image) * width + 4 * image * width // size.heads
    outputs = branches * (config.conditioner.double_blocks if config.conditioner.variant == "released" else 1)
    block = int((7 + 3 * ratio) * joined * width) + outputs * image * width + int(1.5 * (1 + ratio) * width * width)
    hints = 2 * config.conditioner.hint_channels * pixels
    return element_bytes * (tables + prepared), element_bytes * max(block, hints)


def _encoder(config: NetworkConfig, element_bytes: int) -> int:
    """Stream, norm, q, k, v, attention, and the MLP's two inner tensors."""
    size = config.encoder
    tokens = (size.image_px // size.patch_px) ** 2
    seen = 2 * 3 * FULL_BYTES * size.image_px**2
    return element_bytes * tokens * (7 * size.hidden + 2 * size.intermediate) + seen


def _autoencoder(config: NetworkConfig, pixels: int) -> int:
    """Float32.

    Kind `kl`: at each level five tensors of a residual block, or three of the width below on the way into the level.
    Kind `skip`: four tensors at half of the picture's sides.
    """
    widths = config.autoencoder.widths
    if config.autoencoder.kind == "skip":
        return 4 * FULL_BYTES * widths[0] * pixels // 4
    most = 0
    for level, (width, below) in enumerate(zip(widths, (*widths[1:], 0), strict=True)):
        most = max(most, max(5 * width, 3 * below + width) * pixels >> 2 * level)
    return FULL_BYTES * most


def _prior(config: NetworkConfig, pixels: int) -> int:
    """SwinIR: four tensors of its 64 last channels at the picture's size; the U-Net: four and the skips at half of it."""
    if config.prior.kind == "swinir":
        return 4 * FULL_BYTES * 64 * pixels
    return 6 * FULL_BYTES * config.prior.widths[0] * pixels // 4
