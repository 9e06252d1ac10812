"""What a request to a served model may ask for beside its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from components.records import Settings


class Asked(Settings):
    """Parameters of one request."""

    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)] = 0
    """Of the noise of every picture."""
    steps: Annotated[int, Field(gt=0, strict=True)] | None = None
    """Of the sampler; None is the model's own."""
    fidelity: Annotated[float, Field(ge=0, le=1)] | None = None
    """0 leaves the network free, 1 gives the light restoration; None is the model's own."""


PARAMETERS: Mapping[str, tuple[str, float | None]] = {"seed": ("long", 0), "steps": ("long", None), "fidelity": ("double", None)}
"""The same for a signature: name -> (MLflow's type, default)."""
