"""The connector: image features to semantic tokens (LucidFlux report, eq. 6; FLUX Redux layout).

Shapes: B batch, S semantic tokens, E feature width, D context width.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Connector(nn.Module):
    """Two linears, three times the context width between them."""

    def __init__(self, feature_dim: int, context_dim: int) -> None:
        super().__init__()
        self.redux_up = nn.Linear(feature_dim, 3 * context_dim)
        self.redux_down = nn.Linear(3 * context_dim, context_dim)

    def forward(self, features_BSE: Tensor) -> Tensor:
        """Map the last hidden state of the image encoder to tokens (B, S, D) in the prompt's space."""
        tokens: Tensor = self.redux_down(F.silu(self.redux_up(features_BSE)))
        return tokens
