"""Settings of batch restoration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.records import Settings


class RestoreSettings(Settings):
    """How pictures come in and go out; the sampler has settings of its own."""

    model: str = "lucidflux@champion"
    """`NAME@alias` or `NAME/version` in the registry; resolved once per batch."""
    fidelity: Annotated[float, Field(ge=0, le=1)] | None = None
    """0 leaves the network free, 1 gives the light restoration; None keeps what the model was registered with."""
    mode: Literal["plain", "exact", "fast"] | None = None
    """Way of computing, see the sampler's; None keeps the model's."""
    memory: Literal["full", "offload", "low"] | None = None
    """Where weights are, see the sampler's; None keeps the model's."""
    format: Literal["keep", "png", "jpeg", "webp"] = "keep"
    """File format of the results; `keep` writes PNG where the input's format cannot be written."""
    seed: int = 0
    """Seed of the sampler's noise; together with the picture's bytes it decides the result."""
    max_failed_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """A batch with a larger share of failures fails as a whole; what was restored stays."""
