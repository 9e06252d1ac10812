"""Timestep- and layer-adaptive modulation (LucidFlux report, eq. 3-4, in the released program's form).

Shapes: B batch, T tokens, D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import TimestepEmbedding, get_timestep_embedding
from torch import Tensor, nn

SINUSOID_DIM = 256
"""Width of both sinusoidal features (released: 256)."""


def sinusoid(position_B: Tensor) -> Tensor:
    """[cos, sin] features of a position, frequencies 10000 ** (-i / 128), float32 (B, 256)."""
    features: Tensor = get_timestep_embedding(position_B, SINUSOID_DIM, flip_sin_to_cos=True, downscale_freq_shift=0)
    return features


class Modulation(nn.Module):
    """LayerNorm, then scale and shift from the flow time and the index of the receiving block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * width)
        self.timestep_embedder = TimestepEmbedding(SINUSOID_DIM, width)
        self.control_index_embedder = TimestepEmbedding(SINUSOID_DIM, width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)

    def start_silent(self) -> None:
        """Make the output exactly zero until training moves it: weight 0, shift 0, scale -1."""
        with torch.no_grad():
            self.linear.weight.zero_()
            shift, scale = self.linear.bias.chunk(2)
            shift.zero_()
            scale.fill_(-1.0)

    def forward(self, residual_BTD: Tensor, t_B: Tensor, layer: int) -> Tensor:
        """Scale and shift one branch residual.

        Args:
            residual_BTD: output of one condition block.
            t_B: flow time in [0, 1]; 1 is pure noise.
            layer: index of the backbone block that will receive the result; fed raw, not scaled.
        """
        dtype = residual_BTD.dtype
        layer_B = torch.full_like(t_B, float(layer))
        time_BD = self.timestep_embedder(sinusoid(1000 * t_B).to(dtype))
        index_BD = self.control_index_embedder(sinusoid(layer_B).to(dtype))
        shift_BD, scale_BD = self.linear(F.silu(time_BD + index_BD)).chunk(2, dim=-1)  # released order
        modulated: Tensor = self.norm(residual_BTD) * (1 + scale_BD[:, None]) + shift_BD[:, None]
        return modulated
