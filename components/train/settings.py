"""Settings of training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from components.records import Settings

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class TrainSettings(Settings):
    """Shape of one training run; the defaults are the paper's (LucidFlux report, section 4.1) where it states them."""

    steps: Positive = 42_500
    """Optimiser updates. The paper gives none; derived: one pass over its 1.36 M pairs at batch 32."""
    micro_batch_size: Positive = 2
    """Pairs per process and forward pass (section 4.1: 2 per GPU)."""
    accumulation: Positive = 2
    """Forward passes per update (section 4.1: 2)."""
    processes: Positive = 8
    """Processes, one per GPU (section 4.1: 8)."""
    engine: Literal["zero2", "plain"] = "zero2"
    """`zero2`: DeepSpeed with partitioned gradients and optimiser (section 4.1); `plain`: one process, torch alone."""
    optimizer: Literal["adafactor", "adamw"] = "adafactor"
    """Section 4.1: Adafactor. ZeRO hands it flat partitions, so it cannot factor and clips per partition."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    """Rate after warm-up (section 4.1: 2e-5)."""
    schedule: Literal["constant", "cosine"] = "constant"
    """`cosine` falls to 3 % of the rate at the last step."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Updates of linear warm-up (released: none)."""
    betas: tuple[Share, Share] = (0.9, 0.999)
    """AdamW's decay of mean and square; Adafactor has its own."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Section 4.1: 0.01; the released training program has none."""
    gradient_clip: Annotated[float, Field(ge=0)] = 1.0
    """Largest norm of the whole gradient, 0 for none; not stated by the paper."""
    ema_decay: Share = 0.0
    """Decay of the averaged weights, which are the ones that are kept; 0 keeps the last ones (paper and released)."""
    precision: Literal["fp32", "bf16"] = "bf16"
    """Of the products; the trained weights and their optimiser are always float32 (released: likewise)."""
    frozen_precision: Literal["fp32", "bf16"] = "fp32"
    """Of what LRP, latents and image features are computed with (released: float32 restorer and autoencoder)."""
    time_sampling: Literal["restoration", "balanced", "uniform", "released"] = "released"
    """Distribution of the flow time, see models.objective.sample_time; the paper states none."""
    guidance: float = 1.0
    """Guidance input in training (released: 1.0)."""
    variant: Literal["paper", "released"] = "paper"
    """Branches and modulation as printed (equations 2-5), or as in the released program; see models.config."""
    branches: Literal["both", "lq", "lrp"] = "both"
    """Ablation: which pictures have a condition branch (equation 2: both)."""
    modulation: Literal["both", "time", "layer", "none"] = "both"
    """Ablation: what the modulation depends on (equation 3: both)."""
    semantic: bool = True
    """Ablation: semantic tokens of the LRP beside the prompt (equations 6-7)."""
    zero_control_start: bool = False
    """Start with a control of exactly zero; the released start is not quite zero."""
    crop_px: Positive | None = None
    """Side that every crop must have; None takes what the pairs say. Of several sides, each update takes pairs of one."""
    synthesis: Literal["processor", "device"] = "processor"
    """Where a pair's pixels are made: `processor` gives the exact bytes of its recipe; `device` makes them where the network is,
    within the tolerance of `imaging.degrade.batch`."""
    checkpoint_every_steps: Positive = 500
    """Updates between checkpoints; a killed run repeats at most so many."""
    seed: int = 0
    """Decides the order of the pairs, the noise, the times and the default initialisation."""
    threads_per_process: Annotated[int, Field(ge=0)] = 0
    """Processor threads per process; 0 shares the machine's cores evenly."""
    cache: Literal["none", "lrp", "latents", "all"] = "none"
    """What of each pair is made once before the first step and kept, rather than computed whenever the pair comes: LRP (6 bytes
    per pixel), latents (about 1), or both with LQ and image features (10 and the features)."""
    cache_place: Literal["disk", "memory"] = "disk"
    """`disk` is shared by all processes and kept for a resumed run, until the end; in `memory` each process has its own pairs."""
    data_workers: Annotated[int, Field(ge=0)] = 0
    """Processes per training process that make pixels ahead; 0 makes them in the training process."""
    prefetch: Positive = 4
    """Micro-batches of a training process that its data workers make ahead."""

    @model_validator(mode="before")
    @classmethod
    def _cache_of_before(cls, given: Any) -> Any:
        """Read the settings of the time when `cache` was a place, and all was kept."""
        if isinstance(given, dict) and given.get("cache") in ("disk", "memory"):
            return {**given, "cache": "all", "cache_place": given["cache"]}
        return given

    @property
    def batch_size(self) -> int:
        """Pairs per update over all processes."""
        return self.micro_batch_size * self.accumulation * self.processes

    def identity(self) -> dict[str, Any]:
        """What decides the result, apart from rounding: how the batch is spread over processes does not belong to it."""
        spread = {"micro_batch_size", "accumulation", "processes", "threads_per_process", "checkpoint_every_steps"}
        feeding = {"cache", "cache_place", "data_workers", "prefetch"}
        return {**self.model_dump(mode="json", exclude=spread | feeding), "batch_size": self.batch_size}
