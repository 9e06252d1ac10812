"""From LQ to restored picture: light restoration, latent, sampling, decoding, colour; pictures of any size.

A large picture has one latent and one noise. In each step the network sees overlapping tiles of that latent, their
velocities are blended into one velocity of the whole picture, and one Euler step is taken (MultiDiffusion, Bar-Tal et
al. 2023). The light restorer and the autoencoder work in tiles of their own, blended in pixels.

Shapes: B batch, C channels, H W height and width in px or latent cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.attention import Backend
from models.bundle import FrozenParts
from models.colour import Alignment, aligned
from models.conditions import TileConditions
from models.field import Field, Kernels, Mode, build_field, require
from models.latents import pack, unpack
from models.lucidflux import Adapter
from models.padding import pad_to_multiple
from models.sampling import ShiftRule, anchor_weight, euler, schedule, toward
from models.tiling import Tile, blend, plan


@dataclass(frozen=True)
class Sampler:
    """How a picture is drawn from the network; see the stage's settings for the sources of the values."""

    steps: int = 4
    start: float = 0.4
    guidance: float = 1.0
    shift: ShiftRule = "none"
    colour: Alignment = "wavelet"
    fidelity: float = 0.0
    tile_px: int = 256
    overlap_px: int = 64
    codec_tile_px: int = 1024
    codec_overlap_px: int = 128
    mode: Mode = "exact"
    fused: bool = False
    attention: Backend = "auto"
    compiled: bool = False
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
            ValueError: the tiles do not fit the token grid, the fidelity is outside [0, 1], or the kernels do not fit.
        """
        token_px = frozen.config.latent.token_px
        for name in ("", "codec_"):
            tile, overlap = getattr(sampler, f"{name}tile_px"), getattr(sampler, f"{name}overlap_px")
            if tile % token_px or not 0 <= overlap <= tile - token_px:
                raise ValueError(
                    f"{name}tile_px = {tile} must be a multiple of {token_px} and {name}overlap_px = {overlap} "
                    f"at least {token_px} below it."
                )
        if not 0 <= sampler.fidelity <= 1:
            raise ValueError(f"fidelity = {sampler.fidelity} must lie in [0, 1]: 0 leaves the network free, 1 gives the LRP.")
        self.kernels = Kernels(sampler.fused, sampler.attention, sampler.compiled)
        require(sampler.mode, frozen, self.kernels)
        self.frozen, self.adapter, self.sampler = frozen, adapter, sampler
        self.field: Field | None = None

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
        padded_01 = pad_to_multiple(lq_01_BCHW, self.frozen.config.latent.token_px)
        lrp_01 = self._light(padded_01)
        anchor = self._encode(lrp_01)
        with self.frozen.using("network"):
            z_BCHW = self._sample(padded_01, lrp_01, anchor, seeds)
        image_01 = self._decode(z_BCHW)
        if self.sampler.fidelity:
            image_01 = image_01.add_(lrp_01 - self._decode(anchor), alpha=self.sampler.fidelity).clamp_(0, 1)
        image_01 = aligned(self.sampler.colour, image_01, lrp_BCHW=lrp_01, lq_BCHW=padded_01)
        crop = (..., slice(0, lq_01_BCHW.shape[-2]), slice(0, lq_01_BCHW.shape[-1]))
        return Restored(lrp_01[crop], image_01[crop].clamp(0, 1))

    def _sample(self, lq_01: Tensor, lrp_01: Tensor, anchor: Tensor, seeds: Sequence[int]) -> Tensor:
        """Latent (B, C, H/8, W/8) of the restored picture, averaged over the draws; `anchor` is that of the LRP."""
        sampler, latent = self.sampler, self.frozen.config.latent
        tiles = self._tiles(anchor.shape[-2], anchor.shape[-1], sampler.tile_px, sampler.overlap_px)
        seen_px = tiles[0].finer(latent.downscale)
        times = schedule(sampler.steps, sampler.shift, height_px=seen_px.height, width_px=seen_px.width, start=sampler.start)
        field = self._field(tuple(times))
        conditions = TileConditions(self.frozen, field, lq_01, lrp_01)

        def velocity(x_BCHW: Tensor, t: float) -> Tensor:
            def part(tile: Tile) -> Tensor:
                x_BTD = pack(x_BCHW[(..., *tile.window)], latent.packing)
                v_BTD = field.velocity(x_BTD, times.index(t), conditions.of(tile.finer(latent.downscale)))
                return unpack(v_BTD.float(), tile.height // latent.packing, tile.width // latent.packing, latent.packing)

            return toward(anchor, anchor_weight(sampler.fidelity, t, times[0]), blend(tiles, part), x_BCHW, t)

        noise = self._noise(seeds, anchor)
        total = torch.zeros_like(anchor)
        for draw in range(sampler.draws):
            total += euler(velocity, (1 - times[0]) * anchor + times[0] * noise[:, draw], times)
        return total / sampler.draws

    def _field(self, times: tuple[float, ...]) -> Field:
        """The network along one schedule; the last one is kept, as pictures and tiles of one size follow one schedule."""
        if self.field is None or self.field.times != times:
            sampler = self.sampler
            self.field = build_field(sampler.mode, self.adapter, self.frozen, times, sampler.guidance, self.kernels)
        return self.field

    def _noise(self, seeds: Sequence[int], like: Tensor) -> Tensor:
        """Noise of whole pictures (B, draws, C, H/8, W/8), made on the processor whatever the device."""
        shape = (self.sampler.draws, *like.shape[1:])
        fields = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.stack(fields).to(like)

    def _tiles(self, height: int, width: int, tile_px: int, overlap_px: int) -> list[Tile]:
        """Tiles in cells of a latent of so many."""
        latent = self.frozen.config.latent
        tile, overlap = tile_px // latent.downscale, -(-overlap_px // latent.downscale)
        return plan(height, width, tile=tile, overlap=overlap, multiple=latent.packing)

    def _codec_tiles(self, height: int, width: int) -> list[Tile]:
        return self._tiles(height, width, self.sampler.codec_tile_px, self.sampler.codec_overlap_px)

    def _light(self, lq_01: Tensor) -> Tensor:
        """LRP in [0, 1]."""

        def part(tile: Tile) -> Tensor:
            return _finite(self.frozen.lrp(lq_01[(..., *tile.window)]), "light restorer").clamp(0, 1)

        downscale = self.frozen.config.latent.downscale
        tiles = self._codec_tiles(lq_01.shape[-2] // downscale, lq_01.shape[-1] // downscale)
        return blend([tile.finer(downscale) for tile in tiles], part, torch.float32)

    def _encode(self, image_01: Tensor) -> Tensor:
        """Picture in [0, 1] to its latent."""
        latent = self.frozen.config.latent

        def part(tile: Tile) -> Tensor:
            z_BTD = self.frozen.encode(image_01[(..., *tile.finer(latent.downscale).window)] * 2 - 1)
            return unpack(z_BTD.float(), tile.height // latent.packing, tile.width // latent.packing, latent.packing)

        return blend(self._codec_tiles(image_01.shape[-2] // latent.downscale, image_01.shape[-1] // latent.downscale), part)

    def _decode(self, z_BCHW: Tensor) -> Tensor:
        """Latent to a picture in [0, 1]."""
        latent = self.frozen.config.latent

        def part(tile: Tile) -> Tensor:
            z_BTD = pack(z_BCHW[(..., *tile.coarser(latent.downscale).window)], latent.packing)
            image_01 = (self.frozen.decode(z_BTD, tile.height, tile.width) + 1) / 2
            return _finite(image_01.float(), "network").clamp(0, 1)

        tiles = self._codec_tiles(z_BCHW.shape[-2], z_BCHW.shape[-1])
        return blend([tile.finer(latent.downscale) for tile in tiles], part, torch.float32)


def _finite(image: Tensor, maker: str) -> Tensor:
    if not torch.isfinite(image).all():
        raise FloatingPointError(f"The {maker} gave a picture with NaN or infinity.")
    return image
