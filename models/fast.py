"""Other numbers, sooner (mode `fast`): steps that reuse what an earlier one computed, and weights of 8 bits.

First-block cache: neighbouring steps change the streams by almost the same amounts. When the first block's change is
close to the one it made when all blocks last ran, what the other blocks added then is added again (after ParaAttention's
first block cache, 2024). Each picture of a batch decides for itself, and what is kept is its own.

Shapes: B batch, T image tokens, D width.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from diffusers import FluxTransformer2DModel
from torch import Tensor, nn

from models.attention import using
from models.bundle import FrozenParts
from models.exact import Exact, Once
from models.lucidflux import Adapter, Condition

THRESHOLD = 0.08
"""Relative change up to which a step counts as like the one before; the value that ParaAttention suggests for FLUX."""

Kind = Literal["int8", "fp8"]
CONFIGS: Mapping[Kind, str] = {"int8": "Int8WeightOnlyConfig", "fp8": "Float8WeightOnlyConfig"}
"""Kind -> torchao's name."""


@dataclasses.dataclass
class Remembered:
    """A picture's `Once`, and what its last whole step left."""

    once: Once
    first_BTD: Tensor
    """What the first block added in the last whole step; there from the beginning, so that its memory is counted."""
    rest_BTD: Tensor
    """What everything after it added then."""
    step: int = -1
    """Step that was asked for last; an earlier one begins a new draw."""
    skipped: list[int] = dataclasses.field(default_factory=list)
    """Per picture: steps that ran the first block alone, over all draws."""


class Fast(Exact):
    """Velocity along one schedule, with the first-block cache."""

    def __init__(
        self,
        adapter: Adapter | None,
        frozen: FrozenParts,
        times: Sequence[float],
        guidance: float,
        *,
        threshold: float = THRESHOLD,
        **options: Any,
    ) -> None:
        """Build the tables.

        Args:
            adapter: as for `Exact`; likewise the next three.
            frozen: the rest.
            times: flow times of the schedule.
            guidance: embedded guidance value.
            threshold: relative change of the first block's part below which the rest is reused; 0 never reuses.
            options: of `Exact`.

        Raises:
            ValueError: a negative threshold.
        """
        if threshold < 0:
            raise ValueError(f"threshold = {threshold} must be at least 0, which reuses nothing; 0.05 to 0.15 is usual.")
        super().__init__(adapter, frozen, times, guidance, **options)
        self.threshold = threshold

    def prepare(self, cond: Condition) -> Any:
        """Compute once per picture what no step changes, with room for what a step leaves."""
        once = super().prepare(cond)
        batch, _, width = once.text_BND.shape
        first_BTD, rest_BTD = once.text_BND.new_zeros(2, batch, len(once.rotary_T1d), width)
        return Remembered(once, first_BTD, rest_BTD, skipped=[0] * batch)

    @torch.no_grad()
    def velocity(self, x_BTD: Tensor, step: int, prepared: Any) -> Tensor:
        """About the velocity (B, T, D) at times[step]; steps in ascending order, again from a lower one for a new draw."""
        once: Once = prepared.once
        with using(self.attention):
            before, text = self.begin(x_BTD, once)
            image, text = self.double[0](step, before, text, once.rotary_T1d)
            first = image - before
            whole_B = self._whole(first, step, prepared)
            prepared.skipped = [count + (not whole) for count, whole in zip(prepared.skipped, whole_B, strict=True)]
            prepared.step = step
            if not any(whole_B):
                return self.out(x_BTD, step, image + prepared.rest_BTD)
            rows = torch.tensor([row for row, whole in enumerate(whole_B) if whole], device=image.device)
            after = self._through(x_BTD[rows], step, image[rows], text[rows], _narrowed(once, rows))
            if all(whole_B):
                prepared.first_BTD, prepared.rest_BTD = first, after - image
                return self.out(x_BTD, step, after)
            prepared.first_BTD[rows], prepared.rest_BTD[rows] = first[rows], after - image[rows]
            return self.out(x_BTD, step, image + prepared.rest_BTD)

    def _whole(self, first_BTD: Tensor, step: int, prepared: Remembered) -> list[bool]:
        """Per picture: must all blocks run?"""
        if prepared.step < 0 or step <= prepared.step:
            return [True] * len(first_BTD)
        last_BTD = prepared.first_BTD
        change_B = (first_BTD - last_BTD).abs().mean((1, 2)) / last_BTD.abs().mean((1, 2))
        whole_B: list[bool] = (~(change_B < self.threshold)).tolist()
        return whole_B

    def _through(self, x_BTD: Tensor, step: int, image_BTD: Tensor, text_BND: Tensor, once: Once) -> Tensor:
        """Image stream after all blocks, from the streams after the first."""
        control = self.control(x_BTD, step, once)
        for index, double in enumerate(self.double):
            if index:
                image_BTD, text_BND = double(step, image_BTD, text_BND, once.rotary_T1d)
            if control:
                image_BTD = image_BTD + control[index]
        return self.through_single(step, image_BTD, text_BND, once)


def _narrowed(once: Once, rows: Tensor) -> Once:
    """The part of some pictures of a batch."""
    return Once(once.text_BND[rows], tuple(hint_BTD[rows] for hint_BTD in once.hints), once.rotary_T1d)


def quantise(backbone: FluxTransformer2DModel, kind: Kind) -> None:
    """Hold the weights of the blocks' products in 8 bits, in place; modulation and embeddings stay as they are.

    Args:
        backbone: the transformer; no other network may share it.
        kind: `int8`, per output value, or `fp8` (e4m3), which GPUs from compute capability 8.9 read directly.

    Raises:
        ValueError: unknown kind, or torchao is not installed.
    """
    if kind not in CONFIGS:
        raise ValueError(f"Unknown weights {kind!r}; choose {' or '.join(CONFIGS)}.")
    try:
        torchao = importlib.import_module("torchao.quantization")
    except ImportError as error:
        raise ValueError(
            f"Weights of kind {kind!r} need torchao ({error}). Install the extra: pip install -e '.[fast]'."
        ) from error

    def chosen(module: nn.Module, name: str) -> bool:
        return isinstance(module, nn.Linear) and "norm" not in name

    for blocks in (backbone.transformer_blocks, backbone.single_transformer_blocks):
        torchao.quantize_(blocks, getattr(torchao, CONFIGS[kind])(), filter_fn=chosen)
