"""LucidFlux as a diffusers pipeline: `save_pretrained`, `from_pretrained`, offloading and `__call__` as users know them.

The trained adapter is a component of its own, one safetensors file apart from the base:
`LucidFluxPipeline.from_pretrained(BASE, adapter=Adapter.from_pretrained(ADAPTER))` puts another one in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler
from diffusers.configuration_utils import ConfigMixin
from diffusers.image_processor import VaeImageProcessor
from diffusers.models.modeling_utils import ModelMixin
from diffusers.pipelines.pipeline_utils import ImagePipelineOutput
from torch import Tensor, nn

from models.autoencoder import Autoencoder
from models.bundle import FrozenParts
from models.config import NetworkConfig
from models.convert import BUILDERS
from models.lucidflux import Adapter
from models.pipeline import Pipeline, Sampler

PAPER = Sampler(steps=28, start=1.0, guidance=4.0, shift="tokens", tile_px=1024, overlap_px=128)
"""Sampler of the report (sec. 4.1)."""
FLUX_SCHEDULE: Mapping[str, Any] = {
    "use_dynamic_shifting": True,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
    "shift": 3.0,
}
"""FLUX.1-dev's scheduler config; its times are those of the shift rule `tokens`."""


class Part(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers has no types
    """A part for which no library has a class that saves itself: light restorer, prompt, small codec, start of hints."""

    def __init__(self, network: Mapping[str, Any], part: str, module: nn.Module | None = None) -> None:
        """Take a module, or make the one of this name at the network's sizes."""
        super().__init__()
        self.network = NetworkConfig.model_validate(network)
        self.register_to_config(network=dict(network), part=part)
        self.module = BUILDERS[part](self.network) if module is None else module


class LucidFluxPipeline(DiffusionPipeline):  # type: ignore[misc]
    """The whole network."""

    model_cpu_offload_seq = "prior->image_encoder->image_embedder->adapter->transformer->vae"
    _optional_components: ClassVar[list[str]] = ["adapter", "image_embedder", "hint"]

    def __init__(  # noqa: PLR0913, PLR0917 (diffusers reads the components from here)
        self,
        transformer: nn.Module,
        vae: nn.Module,
        scheduler: FlowMatchEulerDiscreteScheduler,
        image_encoder: nn.Module,
        prior: Part,
        prompt: Part,
        adapter: Adapter | None = None,
        image_embedder: nn.Module | None = None,
        hint: Part | None = None,
    ) -> None:
        """Keep the components; `image_embedder` (Redux) and `hint` are what an adapter is trained from."""
        super().__init__()
        self.register_modules(
            transformer=transformer,
            vae=vae,
            scheduler=scheduler,
            image_encoder=image_encoder,
            prior=prior,
            prompt=prompt,
            adapter=adapter,
            image_embedder=image_embedder,
            hint=hint,
        )
        self.image_processor = VaeImageProcessor(do_resize=False, do_normalize=False)

    @classmethod
    def from_parts(cls, frozen: FrozenParts, adapter: Adapter | None) -> LucidFluxPipeline:
        """Make a pipeline of a loaded bundle; modules are shared, not copied."""
        network = frozen.config.model_dump(mode="json")

        def part(name: str) -> Part:
            return Part(network, name, getattr(frozen, name))

        return cls(
            transformer=frozen.backbone,
            vae=part("autoencoder") if frozen.config.autoencoder.kind == "skip" else frozen.autoencoder,
            scheduler=FlowMatchEulerDiscreteScheduler(**FLUX_SCHEDULE),
            image_encoder=frozen.encoder,
            prior=part("prior"),
            prompt=part("prompt"),
            adapter=adapter,
            image_embedder=frozen.connector,
            hint=None if frozen.hint is None else part("hint"),
        )

    @property
    def frozen(self) -> FrozenParts:
        """The components as the frozen parts of the network."""
        vae: Autoencoder = self.vae.module if isinstance(self.vae, Part) else self.vae
        return FrozenParts(
            config=self.prior.network,
            autoencoder=vae,
            backbone=self.transformer,
            prior=self.prior.module,
            encoder=self.image_encoder,
            prompt=self.prompt.module,
            connector=self.image_embedder,
            hint=None if self.hint is None else self.hint.module,
        )

    @torch.no_grad()
    def __call__(
        self, image: Any, *, seed: int | Sequence[int] = 0, sampler: Sampler = PAPER, output_type: str = "pil"
    ) -> ImagePipelineOutput:
        """Restore pictures of one size.

        Args:
            image: PIL picture, (H, W, 3) array in [0, 1] or (B, 3, H, W) tensor in [0, 1], or a list of one of them.
            seed: of the noise; one for all or one each.
            sampler: how to sample.
            output_type: `pil`, `np` or `pt`.

        Raises:
            ValueError: the seeds do not match the pictures.
            FloatingPointError: the weights give numbers that are not finite.
        """
        lq_01_BCHW: Tensor = self.image_processor.preprocess(_as_01(image)).to(self._execution_device, torch.float32)
        seeds = [seed] * len(lq_01_BCHW) if isinstance(seed, int) else list(seed)
        restored = Pipeline(self.frozen, self.adapter, sampler).restore(lq_01_BCHW, seeds).restored_01
        images = self.image_processor.postprocess(restored, output_type=output_type, do_denormalize=[False] * len(restored))
        return ImagePipelineOutput(images=images)


def _as_01(image: Any) -> Any:
    """Arrays of 8 bits are scaled; everything else is taken as it is."""
    if isinstance(image, np.ndarray) and image.dtype == np.uint8:
        return image.astype(np.float32) / 255
    return image
