"""LucidFlux: the trained adapter, and the velocity of the whole network (LucidFlux report, sec. 3).

The backbone is diffusers' unmodified Flux transformer. Two condition branches, each with its modulation, give one
control sample per double block; the connector's semantic tokens join the prompt in the text stream.

Shapes: B batch, T image tokens, S semantic tokens, E feature width, D width or token values.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from models.bundle import FrozenParts, read_weights, write_weights
from models.conditioner import ConditionBranch, Moment
from models.config import NetworkConfig
from models.connector import Connector
from models.latents import position_ids
from models.modulation import Modulation


@dataclass(frozen=True)
class Condition:
    """What the network is told about one batch of pictures."""

    hint_lq_pm1: Tensor
    """LQ (B, 3, H, W) in [-1, 1]; both sides multiples of a token's side."""
    hint_lrp_pm1: Tensor
    """LRP, likewise."""
    features_BSE: Tensor
    """Image features of the LRP, from `FrozenParts.features`."""
    height_px: int
    width_px: int


@dataclass(frozen=True)
class Prepared:
    """A condition with everything computed that does not depend on the time: once per picture, not per step."""

    hint_lq_BTD: Tensor | None
    hint_lrp_BTD: Tensor | None
    context_BSD: Tensor
    """Prompt and semantic tokens."""
    grid: tuple[int, int]
    """Rows and columns of tokens."""


class Adapter(nn.Module):
    """Everything that LucidFlux trains."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width = config.backbone.hidden
        self.condition_lq = ConditionBranch(config)
        self.condition_lrp = ConditionBranch(config)
        self.modulation_lq = Modulation(width)
        self.modulation_lrp = Modulation(width)
        self.connector = Connector(config.encoder.hidden, config.backbone.context_dim)

    @classmethod
    def from_backbone(cls, config: NetworkConfig, frozen: FrozenParts, *, silent: bool = True) -> Adapter:
        """Initialise for training.

        Branches copy the backbone's embeddings and first double blocks, the connector starts from the bundle's. The
        control is then kept at or near zero in one of two ways; both at once would pass no gradient to the branches.

        Args:
            config: sizes.
            frozen: parts to start from.
            silent: True makes the control exactly zero by the modulations (scale -1, shift 0), keeps the output
                projections as they come, and starts the hint convolutions from the bundle's, which read the latent of
                the hint: the miniature learns from it within hundreds of steps. False is the released start: output
                projections and last hint convolution are zero, which leaves the modulations' shift in the control and
                multiplies the first gradients by up to 1000 (LayerNorm of a zero residual).
        """
        adapter = cls(config)
        backbone = frozen.backbone
        for branch in (adapter.condition_lq, adapter.condition_lrp):
            branch.img_in.load_state_dict(backbone.x_embedder.state_dict())
            branch.txt_in.load_state_dict(backbone.context_embedder.state_dict())
            branch.time_text_embed.load_state_dict(backbone.time_text_embed.state_dict())
            for block, source in zip(branch.double_blocks, backbone.transformer_blocks, strict=False):
                block.load_state_dict(source.state_dict())
            if silent:
                branch.input_hint_block.load_state_dict(frozen.hint.state_dict())
            else:
                branch.start_from_zero()
        if silent:
            adapter.modulation_lq.start_silent()
            adapter.modulation_lrp.start_silent()
        adapter.connector.load_state_dict(frozen.connector.state_dict())
        return adapter.to(frozen.device)

    def save(self, path: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the weights to one safetensors file."""
        write_weights(path, self, dtype)

    @classmethod
    def load(cls, path: Path, config: NetworkConfig) -> Adapter:
        """Read an adapter that `save` wrote; in evaluation mode.

        Raises:
            ValueError: the file is missing, cut, or belongs to a network of other sizes.
        """
        adapter = cls(config)
        read_weights(path, adapter)
        return adapter.eval().requires_grad_(requires_grad=False)

    def control(self, x_t_BTD: Tensor, prepared: Prepared, prompt_BSD: Tensor, moment: Moment) -> list[Tensor]:
        """One control sample (B, T, D) per double block of the backbone.

        Block l takes output l mod (number of branch blocks) of each branch, modulated for l, and the sum of both.
        """
        assert prepared.hint_lq_BTD is not None
        assert prepared.hint_lrp_BTD is not None
        lq = self.condition_lq(x_t_BTD, prepared.hint_lq_BTD, prompt_BSD, moment, prepared.grid)
        lrp = self.condition_lrp(x_t_BTD, prepared.hint_lrp_BTD, prompt_BSD, moment, prepared.grid)
        return [
            self.modulation_lq(lq[layer % len(lq)], moment.t_B, layer)
            + self.modulation_lrp(lrp[layer % len(lrp)], moment.t_B, layer)
            for layer in range(self.config.backbone.double_blocks)
        ]


def prepare(adapter: Adapter | None, frozen: FrozenParts, cond: Condition) -> Prepared:
    """Compute what stays the same over the steps; without an adapter there are no hints."""
    token_px = frozen.config.latent.token_px
    connector = frozen.connector if adapter is None else adapter.connector
    prompt = frozen.prompt.tokens_SD.expand(cond.features_BSE.shape[0], -1, -1)
    return Prepared(
        hint_lq_BTD=None if adapter is None else adapter.condition_lq.hint_tokens(cond.hint_lq_pm1),
        hint_lrp_BTD=None if adapter is None else adapter.condition_lrp.hint_tokens(cond.hint_lrp_pm1),
        context_BSD=torch.cat([prompt, connector(cond.features_BSE)], dim=1),
        grid=(cond.height_px // token_px, cond.width_px // token_px),
    )


def velocity(
    adapter: Adapter | None, frozen: FrozenParts, x_t_BTD: Tensor, t_B: Tensor, cond: Condition | Prepared, guidance: float
) -> Tensor:
    """Velocity v = x1 - x0 (B, T, D) that the network predicts.

    Args:
        adapter: the trained part; None asks the bare backbone, with the connector that the bundle starts from.
        frozen: the rest.
        x_t_BTD: noisy packed latent.
        t_B: flow time in [0, 1]; 1 is noise.
        cond: the pictures, or the result of `prepare` when the call is one of many.
        guidance: embedded guidance value; without effect on a network without guidance embedding.
    """
    prepared = cond if isinstance(cond, Prepared) else prepare(adapter, frozen, cond)
    batch = x_t_BTD.shape[0]
    guidance_B = torch.full_like(t_B, guidance) if frozen.config.backbone.guidance_embeds else None
    moment = Moment(t_B=t_B, guidance_B=guidance_B, pooled_BD=frozen.prompt.pooled_D.expand(batch, -1))
    control = None
    if adapter is not None:
        control = adapter.control(x_t_BTD, prepared, frozen.prompt.tokens_SD.expand(batch, -1, -1), moment)
    return run_backbone(frozen, x_t_BTD, prepared, moment, control)


def run_backbone(
    frozen: FrozenParts, x_t_BTD: Tensor, prepared: Prepared, moment: Moment, control: list[Tensor] | None
) -> Tensor:
    """Call the transformer with one control sample per double block, or none."""
    context = prepared.context_BSD
    v_BTD: Tensor = frozen.backbone(
        hidden_states=x_t_BTD,
        encoder_hidden_states=context,
        pooled_projections=moment.pooled_BD,
        timestep=moment.t_B,
        img_ids=position_ids(*prepared.grid, device=context.device),
        txt_ids=torch.zeros(context.shape[1], 3, device=context.device),
        guidance=moment.guidance_B,
        controlnet_block_samples=control,
        return_dict=False,
    )[0]
    return v_BTD
