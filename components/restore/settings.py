"""Settings of batch restoration."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from components.records import Settings
from components.restore.control_settings import DriftSettings, QualitySettings

MODEL = frozenset({"model", "fidelity", "mode", "memory"})
"""Settings that are part of the model's identity, which knows what they mean."""
HOW = frozenset(
    {
        "max_failed_share",
        "workers",
        "shard_pictures",
        "lease_s",
        "ahead",
        "batch",
        "smallest_tile_px",
        "review",
        "scores",
        "drift",
    }
)
"""Settings that decide how and where work is done and what is said about it, never a result."""


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
    marker: bool = True
    """Restored files say that a trained model edited them: IPTC's digital source type, in XMP."""
    review: Literal["none", "all", "flagged"] = "none"
    """Which results a person shall look at: none, all, or those that a check flagged."""
    quality: QualitySettings = QualitySettings()
    """How each result is inspected, and what becomes of one that is refused; `inspect.checks = []` switches it off."""
    drift: DriftSettings = DriftSettings()
    """How a batch is compared with the training set and the last batches; `statistics = []` switches it off."""
    scores: tuple[str, ...] = ()
    """Metrics without reference and without weights, such as `piqe`, that are written beside each result."""
    max_failed_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """A batch with a larger share of failures fails as a whole; what was restored stays."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Processes, each with a model of its own; 1 works in this process; 0 is one per GPU, and 1 where there is none."""
    shard_pictures: Annotated[int, Field(gt=0)] = 32
    """Pictures that a worker takes at once: what a kill costs at most."""
    lease_s: Annotated[float, Field(gt=0)] = 60.0
    """Seconds after which the shard of a worker that fell silent goes to another; on one machine death is seen at once."""
    ahead: Annotated[int, Field(ge=0)] = 2
    """Pictures decoded ahead and encoded behind by threads while the network works; 0 does one thing after the other."""
    batch: Annotated[int, Field(gt=0)] = 1
    """Neighbouring pictures of one size per forward pass; more than 1 may move a value by one level."""
    smallest_tile_px: Annotated[int, Field(gt=0)] = 64
    """Where memory runs out, tiles are halved down to this side before a picture fails."""

    def deciding(self) -> dict[str, Any]:
        """Settings that decide a result beside the model's, as JSON."""
        return self.model_dump(mode="json", exclude=set(HOW | MODEL))
