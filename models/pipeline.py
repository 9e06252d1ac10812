"""From LQ to restored picture: light restoration, latent, sampling, decoding, colour.

Shapes: B batch, C channels, H W picture height and width in px, T tokens, D values per token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from models.bundle import FrozenParts
from models.colour import align
from models.latents import pack
from models.lucidflux import Adapter, Condition, prepare, velocity
from models.objective import mix
from models.padding import pad_to_multiple
from models.sampling import ShiftRule, euler, schedule
from models.tiling import Tile, plan, weight


@dataclass(frozen=True)
class Sampler:
    """How a picture is drawn from the network; see the stage's settings for the sources of the values."""

    steps: int = 4
    start: float = 0.4
    guidance: float = 1.0
    shift: ShiftRule = "none"
    colour: Literal["wavelet", "none"] = "wavelet"
    tile_px: int = 256
    overlap_px: int = 64
    draws: int = 1
    """Independent draws, averaged in the latent."""


@dataclass(frozen=True)
class Restored:
    """Both results, (B, 3, H, W) in [0, 1], at the size of the LQ."""

    lrp_01: Tensor
    restored_01: Tensor


class Pipeline:
    """The whole network behind one call."""

    def __init__(self, frozen: FrozenParts, adapter: Adapter | None, sampler: Sampler) -> None:
        """Keep the parts.

        Args:
            frozen: a loaded bundle.
            adapter: the trained part; None samples from the bare backbone.
            sampler: how to sample.

        Raises:
            ValueError: the tiles do not fit the token grid.
        """
        token_px = frozen.config.latent.token_px
        if sampler.tile_px % token_px or not 0 <= sampler.overlap_px < sampler.tile_px:
            raise ValueError(
                f"tile_px = {sampler.tile_px} must be a multiple of {token_px} and overlap_px = {sampler.overlap_px} below it."
            )
        self.frozen, self.adapter, self.sampler = frozen, adapter, sampler

    @torch.no_grad()
    def restore(self, lq_01_BCHW: Tensor, seeds: Sequence[int]) -> Restored:
        """Restore pictures of one size; each depends on its own pixels and seed alone.

        Args:
            lq_01_BCHW: any height and width from 1 px; padded by reflection to whole tokens and cropped back.
            seeds: one per picture.

        Raises:
            ValueError: the number of seeds is not the number of pictures.
            FloatingPointError: a result is not finite, as broken weights make it.
        """
        if len(seeds) != len(lq_01_BCHW):
            raise ValueError(f"Expected one seed per picture, got {len(seeds)} seeds for {len(lq_01_BCHW)} pictures.")
        height, width = lq_01_BCHW.shape[-2:]
        latent = self.frozen.config.latent
        padded = pad_to_multiple(lq_01_BCHW, latent.token_px)
        noise = torch.stack([self._noise(seed, *padded.shape[-2:]) for seed in seeds])
        total_lrp, total_restored = torch.zeros_like(padded), torch.zeros_like(padded)
        total_weight = torch.zeros(padded.shape[-2:], device=padded.device)
        for tile in self._tiles(*padded.shape[-2:]):
            rows, columns = tile.window
            cells = (slice(rows.start // latent.downscale, rows.stop // latent.downscale),
                     slice(columns.start // latent.downscale, columns.stop // latent.downscale))  # fmt: skip
            part = self._restore_tile(padded[..., rows, columns], noise[..., cells[0], cells[1]])
            blend = weight(tile, padded.shape[-2], padded.shape[-1], self.sampler.overlap_px).to(padded.device)
            total_lrp[..., rows, columns] += part.lrp_01 * blend
            total_restored[..., rows, columns] += part.restored_01 * blend
            total_weight[rows, columns] += blend
        crop = (..., slice(0, height), slice(0, width))
        return Restored((total_lrp / total_weight)[crop], (total_restored / total_weight)[crop].clamp(0, 1))

    def _tiles(self, height: int, width: int) -> list[Tile]:
        downscale = self.frozen.config.latent.downscale
        return plan(height, width, tile=self.sampler.tile_px, overlap=self.sampler.overlap_px, multiple=downscale)

    def _noise(self, seed: int, height: int, width: int) -> Tensor:
        """Noise field of the whole picture, (draws, C, H/8, W/8), made on the processor whatever the device."""
        latent = self.frozen.config.latent
        generator = torch.Generator().manual_seed(seed)
        shape = (self.sampler.draws, latent.channels, height // latent.downscale, width // latent.downscale)
        return torch.randn(shape, generator=generator).to(self.frozen.device)

    def _restore_tile(self, lq_01_BCHW: Tensor, noise_BNCHW: Tensor) -> Restored:
        frozen, sampler = self.frozen, self.sampler
        height, width = lq_01_BCHW.shape[-2:]
        lrp_01 = frozen.lrp(lq_01_BCHW)
        cond = Condition(lq_01_BCHW * 2 - 1, lrp_01 * 2 - 1, frozen.features(lrp_01), height, width)
        prepared = prepare(self.adapter, frozen, cond)
        times = schedule(sampler.steps, sampler.shift, height_px=height, width_px=width, start=sampler.start)
        start_BTD = frozen.encode(cond.hint_lrp_pm1)

        def field(x_BTD: Tensor, t: float) -> Tensor:
            t_B = torch.full((len(x_BTD),), t, device=x_BTD.device)
            return velocity(self.adapter, frozen, x_BTD, t_B, prepared, sampler.guidance)

        finals = []
        for draw in range(sampler.draws):
            x1_BTD = pack(noise_BNCHW[:, draw], frozen.config.latent.packing)
            t_B = torch.full((len(x1_BTD),), times[0], device=x1_BTD.device)
            finals.append(euler(field, mix(start_BTD, x1_BTD, t_B), times))
        image_01 = (frozen.decode(torch.stack(finals).mean(0), height, width) + 1) / 2
        if not torch.isfinite(image_01).all():
            raise FloatingPointError("The network gave a picture with NaN or infinity.")
        restored = image_01.clamp(0, 1)
        if sampler.colour == "wavelet":
            restored = align(restored, lrp_01).clamp(0, 1)
        return Restored(lrp_01, restored)
