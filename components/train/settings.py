"""Settings of training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

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
    """Processes over all machines, one per GPU (section 4.1: 8)."""
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
    """Side that every crop must have; None takes what the pairs say, as long as they agree."""
    synthesis: Literal["processor", "device"] = "processor"
    """Where a pair's pixels are made: `processor` gives the exact bytes of its recipe; `device` makes them where the network is,
    within the tolerance of `imaging.degrade.batch`."""
    checkpoint_every_steps: Positive = 500
    """Updates between checkpoints; a killed run repeats at most so many, and those of a checkpoint that was being written."""
    keep_checkpoints: Positive = 2
    """Newest checkpoints that stay; the older ones are for the day on which the newest is damaged."""
    keep_every_steps: Annotated[int, Field(ge=0)] = 0
    """Checkpoints at multiples of so many updates stay for good; 0 keeps none of them."""
    checkpoint_store: bool = False
    """Copy each checkpoint to the object store, so that another machine can go on."""
    seed: int = 0
    """Decides the order of the pairs, the noise, the times and the default initialisation."""
    nodes: Positive = 1
    """Machines; each runs the same command, with its number in LUCIDFLUX_NODE_RANK, and takes an equal share of `processes`."""
    rendezvous: str = ""
    """Where more than one machine meet: `host:port` of machine 0."""
    threads_per_process: Annotated[int, Field(ge=0)] = 0
    """Processor threads per process; 0 shares the machine's cores evenly."""
    cache: Literal["none", "memory", "disk"] = "none"
    """Where LRP, latent and image features of a pair stay. `memory` and `disk` make them once before the first step, for
    about 20 bytes per pixel and pair; `disk` also keeps them for a resumed run, and deletes them at the end."""

    @property
    def batch_size(self) -> int:
        """Pairs per update over all processes."""
        return self.micro_batch_size * self.accumulation * self.processes

    def identity(self) -> dict[str, Any]:
        """What decides the result, apart from rounding: how the batch is spread over processes does not belong to it."""
        spread = {"micro_batch_size", "accumulation", "processes", "nodes", "rendezvous", "threads_per_process", "cache"}
        spread |= {"checkpoint_every_steps", "keep_checkpoints", "keep_every_steps", "checkpoint_store"}
        return {**self.model_dump(mode="json", exclude=spread), "batch_size": self.batch_size}
