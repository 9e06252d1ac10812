"""One condition branch: what it sees of LQ or LRP becomes residuals for the backbone (LucidFlux report, eq. 2).

As in the released program a branch also sees the noisy tokens, the time, the guidance and the prompt, so it runs in
every step. It sees the prompt tokens only, never the semantic ones.

Shapes: B batch, T image tokens, S text tokens, D width or token values, H W picture height and width in px.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.models.embeddings import CombinedTimestepGuidanceTextProjEmbeddings, CombinedTimestepTextProjEmbeddings
from diffusers.models.transformers.transformer_flux import FluxPosEmbed, FluxTransformerBlock
from torch import Tensor, nn

from models.config import NetworkConfig
from models.latents import pack, position_ids

ROTARY_BASE = 10_000
"""Theta of the rotary embedding (FLUX.1)."""
HINT_STRIDES = (1, 1, 2, 1, 2, 1, 2, 1)
"""Strides of the eight hint convolutions (released): 1/8 of the picture in all."""


@dataclass(frozen=True)
class Moment:
    """What every block is told beside its tokens."""

    t_B: Tensor
    """Flow time in [0, 1]; 1 is noise."""
    guidance_B: Tensor | None
    """Guidance value; None for a network without guidance embedding."""
    pooled_BD: Tensor
    """Pooled prompt."""


def embed_moment(embedder: nn.Module, moment: Moment) -> Tensor:
    """Sum of the time, guidance and pooled-prompt embeddings (B, D); both scalars enter times 1000."""
    scalars = [moment.t_B * 1000]
    if moment.guidance_B is not None:
        scalars.append(moment.guidance_B * 1000)
    vector: Tensor = embedder(*scalars, moment.pooled_BD)
    return vector


def hint_convolutions(channels: int) -> nn.Sequential:
    """Eight 3x3 convolutions with SiLU between them, 3 -> channels, to 1/8 of the picture."""
    layers: list[nn.Module] = []
    for index, stride in enumerate(HINT_STRIDES):
        layers.append(nn.Conv2d(channels if index else 3, channels, 3, stride=stride, padding=1))
        layers.append(nn.SiLU())
    return nn.Sequential(*layers[:-1])


class ConditionBranch(nn.Module):
    """A small copy of the backbone's beginning that reads one hint picture."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        backbone, width = config.backbone, config.backbone.hidden
        embeddings = (
            CombinedTimestepGuidanceTextProjEmbeddings if backbone.guidance_embeds else CombinedTimestepTextProjEmbeddings
        )
        self.packing = config.latent.packing
        self.input_hint_block = hint_convolutions(config.conditioner.hint_channels)
        self.pos_embed_input = nn.Linear(config.conditioner.hint_channels * self.packing**2, width)
        self.img_in = nn.Linear(config.latent.token_values, width)
        self.txt_in = nn.Linear(backbone.context_dim, width)
        self.time_text_embed = embeddings(width, backbone.pooled_dim)
        self.rotary = FluxPosEmbed(theta=ROTARY_BASE, axes_dim=list(backbone.axes))
        self.double_blocks = nn.ModuleList(
            FluxTransformerBlock(dim=width, num_attention_heads=backbone.heads, attention_head_dim=width // backbone.heads)
            for _ in range(config.conditioner.double_blocks)
        )
        self.controlnet_blocks = nn.ModuleList(nn.Linear(width, width) for _ in self.double_blocks)

    @torch.no_grad()
    def start_from_zero(self) -> None:
        """Zero the last hint convolution and the output projections (released start of training)."""
        for module in (self.input_hint_block[-1], *self.controlnet_blocks):
            for parameter in module.parameters():
                parameter.zero_()

    def hint_tokens(self, hint_pm1_BCHW: Tensor) -> Tensor:
        """Hint picture in [-1, 1] to tokens (B, T, D); independent of the time, so once per picture."""
        return pack(self.input_hint_block(hint_pm1_BCHW), self.packing)

    def forward(
        self, x_t_BTD: Tensor, hint_BTD: Tensor, prompt_BSD: Tensor, moment: Moment, grid: tuple[int, int]
    ) -> list[Tensor]:
        """One residual (B, T, D) per double block, after its output projection.

        Args:
            x_t_BTD: noisy packed latent.
            hint_BTD: result of `hint_tokens`.
            prompt_BSD: prompt tokens.
            moment: time, guidance, pooled prompt.
            grid: rows and columns of the token grid.
        """
        vector_BD = embed_moment(self.time_text_embed, moment)
        image = self.img_in(x_t_BTD) + self.pos_embed_input(hint_BTD)
        text = self.txt_in(prompt_BSD)
        text_ids = torch.zeros(text.shape[1], 3, device=text.device)
        rotary = self.rotary(torch.cat([text_ids, position_ids(*grid, device=text.device)]))
        residuals: list[Tensor] = []
        for block, project in zip(self.double_blocks, self.controlnet_blocks, strict=True):
            text, image = block(hidden_states=image, encoder_hidden_states=text, temb=vector_BD, image_rotary_emb=rotary)
            residuals.append(project(image))
        return residuals
