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
    colour: Literal["wavelet", "wavelet_lq", "adain", "none"] = "wavelet"
    """Colour alignment: low frequencies from the LRP (paper: as DreamClear; released: LRP as source) or from the LQ (as
    StableSR), mean and deviation of each channel from the LRP (AdaIN, Huang and Belongie 2017), or none."""
    fidelity: Annotated[float, Field(ge=0, le=1)] = 0.0
    """0 leaves the network free (paper, released), 1 gives the LRP; see docs/fidelity.md for what lies between."""
    mode: Literal["plain", "exact", "fast"] = "exact"
    """`plain`: the unmodified network in every step; `exact`: the same numbers with what cannot change computed once;
    `fast`: sooner, with other numbers."""
    fused: bool = False
    """Modes `exact` and `fast`: one product for layers that see the same tokens, for a second copy of their weights."""
    attention: Literal["auto", "flash", "efficient", "cudnn", "math"] = "auto"
    """Modes `exact` and `fast`: torch's kernel; `auto` is what torch finds fastest."""
    compiled: bool = False
    """Modes `exact` and `fast`: blocks through torch.compile, one region for each kind; needs a C++ compiler."""
    memory: Literal["full", "offload", "low"] = "full"
    """Where weights are: all on the device; streamed to it (the same results, slower); or quantised, which changes
    results. `lucidflux doctor` says which fits."""
    tile_px: Annotated[int, Field(gt=0)] = 1024
    """Side of what the network sees at once (trained on 1024); larger pictures are sampled in overlapping tiles."""
    overlap_px: Annotated[int, Field(ge=0)] = 128
    """Least overlap of neighbouring tiles, blended in every step."""
    codec_tile_px: Annotated[int, Field(gt=0)] = 1024
    """The same for the light restorer and the autoencoder, whose tiles are blended in pixels; bounds their memory."""
    codec_overlap_px: Annotated[int, Field(ge=0)] = 128
    """Least overlap of theirs."""
    draws: Annotated[int, Field(gt=0)] = 1
    """Independent draws, averaged in the latent; more cost more and come nearer to the truth in PSNR."""
