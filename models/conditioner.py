"""The condition branches: what one sees of LQ or LRP becomes residuals for the backbone (LucidFlux report, eq. 2).

In the released program a branch also sees the noisy tokens, the time and the guidance, so it runs in every step and
gives one residual per block. As the report prints it, a branch sees its picture alone, so it runs once per picture.
Both see the prompt tokens, never the semantic ones.

Shapes: B batch, T image tokens, S text tokens, D width or token values, H W picture height and width in px.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.models.embeddings import (
    CombinedTimestepGuidanceTextProjEmbeddings,
    CombinedTimestepTextProjEmbeddings,
    PixArtAlphaTextProjection,
)
from diffusers.models.transformers.transformer_flux import FluxPosEmbed, FluxTransformerBlock
from torch import Tensor, nn

from models.config import BackboneConfig, NetworkConfig
from models.latents import pack, position_ids

HINT_CONVOLUTIONS = 8
"""Hint convolutions (released); the third, fifth and seventh may halve the picture."""


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


def hint_convolutions(channels: int, downscale: int) -> nn.Sequential:
    """Eight 3x3 convolutions with SiLU between them, 3 -> channels, to the size of the latent (released: 1/8).

    Raises:
        ValueError: the downscale is none of 2, 4 and 8.
    """
    if downscale not in (2, 4, 8):
        raise ValueError(f"Hint convolutions shrink a picture by 2, 4 or 8; got {downscale}. Correct latent.downscale.")
    layers: list[nn.Module] = []
    for index in range(HINT_CONVOLUTIONS):
        stride = 2 if index % 2 == 0 and 0 < index <= 2 * (downscale.bit_length() - 1) else 1
        layers.append(nn.Conv2d(channels if index else 3, channels, 3, stride=stride, padding=1))
        layers.append(nn.SiLU())
    return nn.Sequential(*layers[:-1])


def double_block(config: BackboneConfig) -> FluxTransformerBlock:
    """One unmodified Flux double block; another MLP width than diffusers' constant 4 gets MLPs of that width."""
    width = config.hidden
    block = FluxTransformerBlock(dim=width, num_attention_heads=config.heads, attention_head_dim=width // config.heads)
    return resized_mlp(block, config)


def resized_mlp(block: FluxTransformerBlock, config: BackboneConfig) -> FluxTransformerBlock:
    """Give a double block MLPs of the config's ratio."""
    if config.mlp_ratio != 4:
        for name in ("ff", "ff_context"):
            inner = int(config.hidden * config.mlp_ratio)
            feed = getattr(block, name)
            feed.net[0].proj, feed.net[2] = nn.Linear(config.hidden, inner), nn.Linear(inner, config.hidden)
    return block


class Branch(nn.Module):
    """What both kinds of branch share: hint convolutions, projection of their tokens, blocks and the way out."""

    def __init__(self, network: NetworkConfig, outputs: int) -> None:
        super().__init__()
        backbone, width = network.backbone, network.backbone.hidden
        self.packing = network.latent.packing
        self.input_hint_block = hint_convolutions(network.conditioner.hint_channels, network.latent.downscale)
        self.pos_embed_input = nn.Linear(network.conditioner.hint_channels * self.packing**2, width)
        self.txt_in = nn.Linear(backbone.context_dim, width)
        self.rotary = FluxPosEmbed(theta=backbone.rotary_base, axes_dim=list(backbone.axes))
        self.double_blocks = nn.ModuleList(double_block(backbone) for _ in range(network.conditioner.double_blocks))
        self.controlnet_blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(outputs))

    @torch.no_grad()
    def start_from_zero(self, *, hint: bool = True) -> None:
        """Zero the output projections and, as released, the last hint convolution."""
        for module in (*self.controlnet_blocks, *([self.input_hint_block[-1]] if hint else [])):
            for parameter in module.parameters():
                parameter.zero_()

    def hint_tokens(self, hint_pm1_BCHW: Tensor) -> Tensor:
        """Hint picture in [-1, 1] to tokens (B, T, D); independent of the time, so once per picture."""
        return pack(self.input_hint_block(hint_pm1_BCHW), self.packing)

    def through_blocks(self, image_BTD: Tensor, prompt_BSD: Tensor, vector_BD: Tensor, grid: tuple[int, int]) -> list[Tensor]:
        """Image stream (B, T, D) after each double block."""
        text = self.txt_in(prompt_BSD)
        text_ids = torch.zeros(text.shape[1], 3, device=text.device)
        rotary = self.rotary(torch.cat([text_ids, position_ids(*grid, device=text.device)]))
        image, streams = image_BTD, []
        for block in self.double_blocks:
            text, image = block(hidden_states=image, encoder_hidden_states=text, temb=vector_BD, image_rotary_emb=rotary)
            streams.append(image)
        return streams


class ConditionBranch(Branch):
    """The released branch: a small copy of the backbone's beginning that reads one hint picture beside x_t."""

    def __init__(self, network: NetworkConfig) -> None:
        super().__init__(network, outputs=network.conditioner.double_blocks)
        backbone, width = network.backbone, network.backbone.hidden
        embeddings = (
            CombinedTimestepGuidanceTextProjEmbeddings if backbone.guidance_embeds else CombinedTimestepTextProjEmbeddings
        )
        self.img_in = nn.Linear(network.latent.token_values, width)
        self.time_text_embed = embeddings(width, backbone.pooled_dim)

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
        streams = self.through_blocks(image, prompt_BSD, vector_BD, grid)
        return [project(stream) for project, stream in zip(self.controlnet_blocks, streams, strict=True)]


class PaperBranch(Branch):
    """The report's branch: hint tokens alone through the blocks, one output after the last (eq. 2).

    The blocks need a vector; the report names none that the picture's features could depend on, so it is the pooled
    prompt's embedding without time and guidance.
    """

    def __init__(self, network: NetworkConfig) -> None:
        super().__init__(network, outputs=1)
        self.text_embedder = PixArtAlphaTextProjection(network.backbone.pooled_dim, network.backbone.hidden, act_fn="silu")

    def forward(self, hint_BTD: Tensor, prompt_BSD: Tensor, pooled_BD: Tensor, grid: tuple[int, int]) -> Tensor:
        """Phi (B, T, D), the same for every time and block; arguments as for `ConditionBranch`."""
        image = self.pos_embed_input(hint_BTD)
        streams = self.through_blocks(image, prompt_BSD, self.text_embedder(pooled_BD), grid)
        phi_BTD: Tensor = self.controlnet_blocks[0](streams[-1])
        return phi_BTD
