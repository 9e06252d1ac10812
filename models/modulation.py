"""Timestep- and layer-adaptive modulation of a branch's output (LucidFlux report, sec. 3.2).

Shapes: B batch, T tokens, D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import TimestepEmbedding, get_timestep_embedding
from torch import Tensor, nn

from models.config import NetworkConfig

SINUSOID_DIM = 256
"""Width of a sinusoidal feature (released: 256)."""


def sinusoid(position_B: Tensor) -> Tensor:
    """[cos, sin] features of a position, frequencies 10000 ** (-i / 128), float32 (B, 256)."""
    features: Tensor = get_timestep_embedding(position_B, SINUSOID_DIM, flip_sin_to_cos=True, downscale_freq_shift=0)
    return features


class Modulation(nn.Module):
    """The released program's form: LayerNorm, then scale and shift from the flow time and the receiving block."""

    def __init__(self, width: int, *, time: bool = True, layer: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * width)
        self.timestep_embedder = TimestepEmbedding(SINUSOID_DIM, width) if time else None
        self.control_index_embedder = TimestepEmbedding(SINUSOID_DIM, width) if layer else None
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)

    def start_silent(self) -> None:
        """Make the output exactly zero until training moves it: weight 0, shift 0, scale -1."""
        with torch.no_grad():
            self.linear.weight.zero_()
            shift, scale = self.linear.bias.chunk(2)
            shift.zero_()
            scale.fill_(-1.0)

    def factors(self, t_B: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """(factor, shift), both (B, D), of the normalised residual.

        Args:
            t_B: flow time in [0, 1]; 1 is pure noise.
            layer: index of the backbone block that will receive the result; fed raw, not scaled.
        """
        dtype = self.linear.weight.dtype
        embedded_BD = torch.zeros(1, device=t_B.device, dtype=dtype)
        if self.timestep_embedder is not None:
            embedded_BD = embedded_BD + self.timestep_embedder(sinusoid(1000 * t_B).to(dtype))
        if self.control_index_embedder is not None:
            embedded_BD = embedded_BD + self.control_index_embedder(sinusoid(torch.full_like(t_B, float(layer))).to(dtype))
        shift_BD, scale_BD = self.linear(F.silu(embedded_BD)).chunk(2, dim=-1)  # released order
        return 1 + scale_BD, shift_BD

    def forward(self, residual_BTD: Tensor, t_B: Tensor, layer: int) -> Tensor:
        """Scale and shift one output of a condition branch; arguments as in `factors`."""
        factor_BD, shift_BD = self.factors(t_B, layer)
        modulated: Tensor = self.norm(residual_BTD) * factor_BD[:, None] + shift_BD[:, None]
        return modulated


class PaperModulation(nn.Module):
    """The report's form, alpha * phi + beta without a norm, from PE(t/T, l/L) (eq. 3-4).

    PE is the [cos, sin] feature of 1000 u for each of the two, as FLUX encodes a time in [0, 1]; the head is two
    linears. The report states neither.
    """

    def __init__(self, width: int, layers: int, *, time: bool = True, layer: bool = True) -> None:
        super().__init__()
        self.layers, self.time, self.layer = layers, time, layer
        self.head = TimestepEmbedding(SINUSOID_DIM * (time + layer), width, out_dim=2 * width)
        self.norm = nn.Identity()

    def start_silent(self) -> None:
        """Make alpha and beta exactly zero until training moves them."""
        with torch.no_grad():
            self.head.linear_2.weight.zero_()
            self.head.linear_2.bias.zero_()

    def factors(self, t_B: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """(alpha, beta), both (B, D), for flow time t = t/T in [0, 1] and backbone block `layer` of `layers`."""
        positions = [t_B] * self.time + [torch.full_like(t_B, layer / self.layers)] * self.layer
        encoded = torch.cat([sinusoid(1000 * position) for position in positions], dim=-1)
        alpha_BD, beta_BD = self.head(encoded.to(self.head.linear_1.weight.dtype)).chunk(2, dim=-1)
        return alpha_BD, beta_BD

    def forward(self, phi_BTD: Tensor, t_B: Tensor, layer: int) -> Tensor:
        """Scale and shift one branch's output; arguments as in `factors`."""
        alpha_BD, beta_BD = self.factors(t_B, layer)
        return alpha_BD[:, None] * phi_BTD + beta_BD[:, None]


class NoModulation(nn.Module):
    """Ablation: every block receives the branch's output as it is."""

    def start_silent(self) -> None:
        """Nothing here can be silent; the branch's output projections have to be."""

    def forward(self, phi_BTD: Tensor, t_B: Tensor, layer: int) -> Tensor:
        """Give the output back."""
        del t_B, layer
        return phi_BTD


AnyModulation = Modulation | PaperModulation | NoModulation


def build_modulation(network: NetworkConfig) -> AnyModulation:
    """Make the modulation that the config names."""
    kind, width = network.conditioner.modulation, network.backbone.hidden
    if kind == "none":
        return NoModulation()
    depends = {"time": kind in {"both", "time"}, "layer": kind in {"both", "layer"}}
    if network.conditioner.variant == "paper":
        return PaperModulation(width, network.backbone.double_blocks, **depends)
    return Modulation(width, **depends)
