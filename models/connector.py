"""The connector: image features to semantic tokens (LucidFlux report, eq. 6), in FLUX Redux' form.

Shapes: B batch, S semantic tokens, E feature width, D context width.
"""

from __future__ import annotations

from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder
from torch import Tensor

from models.config import NetworkConfig


def build_connector(network: NetworkConfig) -> ReduxImageEncoder:
    """Two linears with SiLU between them, three times the context width inside."""
    return ReduxImageEncoder(redux_dim=network.encoder.hidden, txt_in_features=network.backbone.context_dim)


def connect(connector: ReduxImageEncoder, features_BSE: Tensor) -> Tensor:
    """Map the last hidden state of the image encoder to tokens (B, S, D) in the prompt's space."""
    tokens_BSD: Tensor = connector(features_BSE).image_embeds
    return tokens_BSD
