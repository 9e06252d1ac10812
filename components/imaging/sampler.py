"""How a picture is drawn from the network; cheap to import, so that profiles load without torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.records import Settings


class SamplerSettings(Settings):
    """Sampler; the defaults are the paper's (section 4.1 and appendix) where it states them."""

    steps: Annotated[int, Field(gt=0)] = 28
    """Network evaluations (paper: 28; released script: 20)."""
    start: Annotated[float, Field(gt=0, le=1)] = 1.0
    """First flow time; 1 starts from pure noise (paper, released), less from the LRP's latent noised that far."""
    guidance: float = 4.0
    """Embedded guidance (released: 4.0); without effect on a backbone without guidance embedding."""
    shift: Literal["tokens", "released", "none"] = "tokens"
    """Bend of the schedule: FLUX's by token count (paper), the released program's, or straight."""
    colour: Literal["wavelet", "none"] = "wavelet"
    """Colour alignment: low frequencies from the LRP (paper: as DreamClear; released: LRP as source)."""
    tile_px: Annotated[int, Field(gt=0)] = 1024
    """Side of a tile; larger pictures are restored in overlapping tiles."""
    overlap_px: Annotated[int, Field(ge=0)] = 128
    """Overlap of neighbouring tiles, blended."""
    draws: Annotated[int, Field(gt=0)] = 1
    """Independent draws, averaged in the latent; more cost more and come nearer to the truth in PSNR."""
