"""The same velocity with everything computed once that no step changes (mode `exact`).

Along a fixed schedule, with a fixed prompt and guidance, every scale, shift and gate of every block is a row of a table:
the weights that make them are read once per schedule, not once per step. Per picture, the hint convolutions, the text
embedding and the rotary table are computed once; in the released variant the branches themselves see x_t and must run.
In a step, the text tail of a branch's last block and the text half of the last single block feed nothing and are left
out; LayerNorm before the modulation runs once per branch output, not once per block that receives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.attention import Backend, using
from models.bundle import FrozenParts
from models.conditioner import ConditionBranch, Moment, PaperBranch, embed_moment
from models.flux_blocks import DoubleBlock, Rows, SingleBlock, normalised
from models.latents import position_ids
from models.lucidflux import Adapter, Condition, prepare
from models.modulation import AnyModulation, NoModulation


@dataclass(frozen=True)
class Once:
    """What is computed once per picture."""

    text_BND: Tensor
    """Embedded prompt and semantic tokens."""
    hints: tuple[Tensor, ...]
    """Per branch: its projected hint tokens (B, T, D), or the finished output of a branch that sees no time."""
    rotary_T1d: Tensor
    """Complex rotations of the image tokens, half a head wide; text stands at the origin and is not rotated."""


class Exact:
    """Velocity along one schedule; in evaluation only.

    Shapes: S steps, B batch, T image tokens, N text tokens, D width.
    """

    def __init__(
        self,
        adapter: Adapter | None,
        frozen: FrozenParts,
        times: Sequence[float],
        guidance: float,
        *,
        fused: bool = False,
        attention: Backend = "auto",
        compiler: str | None = None,
    ) -> None:
        """Build the tables.

        Args:
            adapter: the trained part; None for the bare backbone.
            frozen: the rest.
            times: flow times of the schedule.
            guidance: embedded guidance value.
            fused: one product for layers that see the same tokens; holds a second copy of their weights.
            attention: kernel of the attention.
            compiler: torch.compile backend; one region serves all double blocks and one all single blocks.
        """
        self.adapter, self.frozen, self.times, self.guidance = adapter, frozen, tuple(times), guidance
        self.attention: Backend = attention
        backbone = frozen.backbone
        with torch.no_grad():
            moment = self._moments()
            vector_SD = F.silu(embed_moment(backbone.time_text_embed, moment))
            self.double = [DoubleBlock(block, vector_SD, fused=fused) for block in backbone.transformer_blocks]
            self.single = [SingleBlock(block, vector_SD, fused=fused) for block in backbone.single_transformer_blocks]
            scale_SD, shift_SD = backbone.norm_out.linear(vector_SD).chunk(2, dim=1)
            self.last = (shift_SD, 1 + scale_SD)
            self.prompt_1ND = backbone.context_embedder(frozen.prompt.tokens_SD.to(backbone.dtype)[None])
            streams = [] if adapter is None else adapter.streams()
            self.branches = [_Branch(branch, modulation, self, moment, fused=fused) for _, branch, modulation in streams]
        for block in (*self.double, *self.single, *(inner for branch in self.branches for inner in branch.blocks)):
            block.compile(compiler)

    def _moments(self) -> Moment:
        """Every step of the schedule as one batch."""
        dtype = self.frozen.backbone.dtype
        t_S = torch.tensor(self.times[:-1], device=self.frozen.device).to(dtype)
        guidance_S = torch.full_like(t_S, self.guidance) if self.frozen.config.backbone.guidance_embeds else None
        return Moment(t_S, guidance_S, self.frozen.prompt.pooled_D.to(dtype).expand(len(t_S), -1))

    @torch.no_grad()
    def prepare(self, cond: Condition) -> Once:
        """Compute once per picture what no step changes."""
        backbone = self.frozen.backbone
        prepared = prepare(self.adapter, self.frozen, cond)
        batch, prompt = len(prepared.context_BSD), self.prompt_1ND.shape[1]
        text = [self.prompt_1ND.expand(batch, -1, -1)]
        if prepared.context_BSD.shape[1] > prompt:
            text.append(backbone.context_embedder(prepared.context_BSD[:, prompt:]))
        hints = []
        for picture, branch, _ in [] if self.adapter is None else self.adapter.streams():
            hint_BTD = prepared.hint(picture)
            hints.append(branch.pos_embed_input(hint_BTD) if isinstance(branch, ConditionBranch) else hint_BTD)
        cos, sin = backbone.pos_embed(position_ids(*prepared.grid, device=prepared.context_BSD.device))
        rotary_Td = torch.complex(cos[:, ::2].float(), sin[:, ::2].float())  # each value stands twice, for both of a pair
        return Once(torch.cat(text, dim=1), tuple(hints), rotary_Td[:, None])

    @torch.no_grad()
    def velocity(self, x_BTD: Tensor, step: int, prepared: Once) -> Tensor:
        """Velocity (B, T, D) at times[step].

        Raises:
            ValueError: the attention kernel does not take these tensors.
        """
        with using(self.attention):
            image, text = self.begin(x_BTD, prepared)
            control = self.control(x_BTD, step, prepared)
            for index, double in enumerate(self.double):
                image, text = double(step, image, text, prepared.rotary_T1d)
                if control:
                    image = image + control[index]
            return self.out(x_BTD, step, self.through_single(step, image, text, prepared))

    def begin(self, x_BTD: Tensor, prepared: Once) -> tuple[Tensor, Tensor]:
        """Image and text stream before the first block."""
        backbone = self.frozen.backbone
        return backbone.x_embedder(x_BTD.to(backbone.dtype)), prepared.text_BND

    def through_single(self, step: int, image_BTD: Tensor, text_BND: Tensor, prepared: Once) -> Tensor:
        """Image stream after the single blocks."""
        if not self.single:
            return image_BTD
        joined = torch.cat([text_BND, image_BTD], dim=1)
        for single in self.single[:-1]:
            joined = single(step, joined, prepared.rotary_T1d, 0)
        return self.single[-1](step, joined, prepared.rotary_T1d, text_BND.shape[1])

    def out(self, x_BTD: Tensor, step: int, image_BTD: Tensor) -> Tensor:
        """From the last image stream to the velocity, in the element type of x_t."""
        shift_SD, factor_SD = self.last
        v_BTD: Tensor = self.frozen.backbone.proj_out(torch.addcmul(shift_SD[step], normalised(image_BTD), factor_SD[step]))
        return v_BTD.to(x_BTD.dtype)

    def control(self, x_BTD: Tensor, step: int, prepared: Once) -> Control:
        """Control of a step; false without an adapter."""
        pairs = zip(self.branches, prepared.hints, strict=True)
        return Control([(branch, branch.outputs(x_BTD, step, hint, prepared.rotary_T1d)) for branch, hint in pairs], step)


class Control:
    """One control sample (B, T, D) per double block, each made when it is asked for: together they take the most room."""

    def __init__(self, streams: Sequence[tuple[_Branch, list[Tensor]]], step: int) -> None:
        self.streams, self.step = streams, step

    def __bool__(self) -> bool:
        return bool(self.streams)

    def __getitem__(self, layer: int) -> Tensor:
        samples = [branch.modulated(outputs[layer % len(outputs)], self.step, layer) for branch, outputs in self.streams]
        return samples[0] if len(samples) == 1 else samples[0] + samples[1]


class _Branch:
    """One condition branch and its modulation, with their tables."""

    def __init__(
        self, branch: ConditionBranch | PaperBranch, modulation: AnyModulation, owner: Exact, moment: Moment, *, fused: bool
    ) -> None:
        self.branch, self.modulation = branch, modulation
        self.blocks: list[DoubleBlock] = []
        if isinstance(branch, ConditionBranch):
            vector_SD = F.silu(embed_moment(branch.time_text_embed, moment))
            last = len(branch.double_blocks) - 1
            self.blocks = [
                DoubleBlock(block, vector_SD, fused=fused, text_tail=index < last)
                for index, block in enumerate(branch.double_blocks)
            ]
            self.prompt_1ND: Tensor = branch.txt_in(owner.frozen.prompt.tokens_SD.to(owner.frozen.backbone.dtype)[None])
        layers = range(owner.frozen.config.backbone.double_blocks)
        self.factors: list[Rows] = []
        if not isinstance(modulation, NoModulation):
            self.factors = [modulation.factors(moment.t_B, layer) for layer in layers]

    def outputs(self, x_BTD: Tensor, step: int, hint_BTD: Tensor, rotary_T1d: Tensor) -> list[Tensor]:
        """Outputs of the branch, normalised where its modulation normalises."""
        outputs = [hint_BTD]
        if isinstance(self.branch, ConditionBranch):
            image = self.branch.img_in(x_BTD.to(hint_BTD.dtype)) + hint_BTD
            text, outputs = self.prompt_1ND.expand(len(image), -1, -1), []
            for block, project in zip(self.blocks, self.branch.controlnet_blocks, strict=True):
                image, text = block(step, image, text, rotary_T1d)
                outputs.append(project(image))
        return outputs if isinstance(self.modulation, NoModulation) else [self.modulation.norm(output) for output in outputs]

    def modulated(self, output_BTD: Tensor, step: int, layer: int) -> Tensor:
        """What block `layer` of the backbone receives of one output."""
        if not self.factors:
            return output_BTD
        factor_SD, shift_SD = self.factors[layer]
        row = step if len(factor_SD) > 1 else 0  # one row serves all steps where time has no part
        return torch.addcmul(shift_SD[row], output_BTD, factor_SD[row])
