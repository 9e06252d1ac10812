"""Settings of training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from components.records import Settings

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
SPREAD = (
    "micro_batch_size",
    "accumulation",
    "processes",
    "nodes",
    "rendezvous",
    "threads_per_process",
    "checkpoint_every_steps",
    "keep_checkpoints",
    "keep_every_steps",
    "checkpoint_store",
    "cache",
    "cache_place",
    "data_workers",
    "prefetch",
)
"""How the work is spread over processes and time, how it is fed, and what is kept on the way."""
SHOWN = ("peak_tflops", "price_per_hour")
"""What only figures for people depend on."""
VALIDATION = (
    "validate_every_steps",
    "validation_images",
    "validation_benchmarks",
    "validation_metrics",
    "validation_crop_px",
    "best_metric",
    "keep_best",
    "early_stop_patience",
)
"""What changes the result only where validation is the judge."""


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
    time_sampling: Literal["restoration", "balanced", "logit_normal", "uniform", "released"] = "released"
    """Distribution of the flow time, see models.objective.sample_time; the paper states none."""
    time_mean: float = 0.0
    """Of the normal inside `logit_normal`; above 0 leans towards noise."""
    time_std: Annotated[float, Field(gt=0)] = 1.0
    """Its deviation."""
    time_shift: Literal["none", "tokens", "released"] = "none"
    """Bends the times towards noise by the crop's size, as the sampler's schedule is bent; see SamplerSettings.shift."""
    pixel_weight: Annotated[float, Field(ge=0)] = 0.0
    """Of the mean absolute error, in [-1, 1], of what one step from x_t decodes to; 0 leaves it out (paper, released). It takes
    a pass through the autoencoder and back in every forward pass."""
    gradient_weight: Annotated[float, Field(ge=0)] = 0.0
    """Likewise, of the error of neighbouring pixels' differences: edges and texture."""
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

    validate_every_steps: Annotated[int, Field(ge=0)] = 0
    """Updates between validations on held-out pictures; 0 for none. The last update is validated too."""
    validation_images: Positive = 8
    """Held-out pictures, last by id: the evaluation takes the first ones."""
    validation_benchmarks: Annotated[tuple[str, ...], Field(min_length=1)] = ("moderate", "heavy")
    """Names in imaging.benchmarks.BENCHMARKS; each degrades every picture in its own, frozen way."""
    validation_metrics: Annotated[tuple[str, ...], Field(min_length=1)] = ("psnr", "ssim", "piqe")
    """Names in imaging.iqa.METRICS; those without weights need no file."""
    validation_crop_px: Annotated[int, Field(ge=192)] = 256
    """Side of the centre crop that is restored and scored; a smaller picture is used whole."""
    best_metric: str = "val.heavy.psnr"
    """`val.<benchmark>.<metric>`; what `keep_best` and `early_stop_patience` judge by."""
    keep_best: bool = False
    """Give out the weights of the best validation in place of the last or averaged ones."""
    early_stop_patience: Annotated[int, Field(ge=0)] = 0
    """Validations in a row that may be no better than the best before the run ends; 0 never ends it."""
    peak_tflops: Annotated[float, Field(ge=0)] = 0.0
    """What one device can do, for the share that the network's products use of it; 0 is unknown."""
    price_per_hour: Annotated[float, Field(ge=0)] = 0.0
    """Of one process and its device, in any currency; 0 shows no cost."""

    @property
    def judged(self) -> bool:
        """Validation decides what the run gives out or when it ends."""
        return self.keep_best or self.early_stop_patience > 0

    @property
    def sees_hq(self) -> bool:
        """The loss looks at pixels, not only at latents."""
        return self.pixel_weight > 0 or self.gradient_weight > 0

    @property
    def batch_size(self) -> int:
        """Pairs per update over all processes."""
        return self.micro_batch_size * self.accumulation * self.processes

    def identity(self) -> dict[str, Any]:
        """What decides the result, apart from rounding: how the batch is spread over processes does not belong to it."""
        kept = self.model_dump(mode="json", exclude={*SPREAD, *SHOWN, *(() if self.judged else VALIDATION)})
        return {**kept, "batch_size": self.batch_size}
