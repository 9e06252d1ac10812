"""From rows of a pairs manifest to what the network is trained on.

Pixels are made again from recipe and shard bytes; what the frozen parts make of them (LRP, latent, image features) is
computed once per pair where it is kept.

Shapes: B batch, T tokens, D values per token, S semantic tokens, E feature width.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from components.backends.storage import Storage
from components.errors import DecodeError, StorageError, TrainError
from components.imaging import codec
from components.imaging.degrade import recipe
from components.imaging.degrade.batch import apply_batch
from components.imaging.degrade.recipe import Recipe
from models.bundle import FrozenParts

OPERATOR = "features-1"
CHUNK = 64
"""Pairs per feature file."""
DECODED = 8
"""Decoded pictures that are kept while pairs of the same picture follow each other."""

Features = Mapping[str, Tensor]
"""lq_u8 (B, 3, H, W) uint8; lrp_01 (B, 3, H, W) float16; x0_BTD and features_BSE float32."""
Tick = Callable[[int, int], None]
"""Called with (done, total)."""


class PairPixels:
    """Gives the pixels of pairs: read from the shards that hold them, or made from their recipes."""

    def __init__(self, store: Storage, rows: Sequence[Mapping[str, Any]], *, crop_px: int | None = None) -> None:
        """Check the recipes.

        Args:
            store: where the shards are.
            rows: of a pairs manifest.
            crop_px: side that every recipe must ask for; None for any, if it is the same for all.

        Raises:
            TrainError: there is no pair, or the crops differ.
        """
        if not rows:
            raise TrainError(
                "Expected training pairs, the manifest has none. Curate more pictures or lower curate.minimum settings."
            )
        self.store, self.rows = store, rows
        self.recipes = [Recipe.unpack(row["recipe"]) for row in rows]
        sides = {made.crop_px for made in self.recipes}
        expected = {crop_px} if crop_px else sides
        if len(sides) != 1 or sides != expected or None in sides:
            raise TrainError(
                f"Expected pairs of one square crop{f' of {crop_px} px' if crop_px else ''}, the recipes say "
                f"{sorted(map(str, sides))}. Set synthesize.crop_px and train.crop_px to the same value."
            )
        self._decode = lru_cache(maxsize=DECODED)(self._read)

    def _pair(self, index: int) -> tuple[codec.Image, codec.Image]:
        with self._explained(index):
            return self._sides(index)

    @contextmanager
    def _explained(self, index: int) -> Iterator[None]:
        """Say which pair it is whose picture cannot be read."""
        try:
            yield
        except (DecodeError, StorageError) as error:
            row = self.rows[index]
            shard = row.get("pixels") or row["shard"]
            raise TrainError(
                f"Cannot make the pair {row['id'][:12]} of picture {row['hq_id'][:12]} from {shard}: {error} Bring the shard "
                "back from a copy of the object store, or delete it and run the stage that made it; the same command goes on "
                "from the last checkpoint."
            ) from error

    def _sides(self, index: int) -> tuple[codec.Image, codec.Image]:
        row = self.rows[index]
        if row.get("pixels"):
            hq, lq = ((row["pixels"], row[f"{side}_offset"], row[f"{side}_length"]) for side in ("hq", "lq"))
            return self._read(*hq), self._read(*lq)
        return recipe.apply(self._decode(row["shard"], row["offset"], row["length"]), self.recipes[index])

    def _read(self, shard: str, offset: int, length: int) -> codec.Image:
        return codec.decode(self.store.read_range(shard, offset, length), limits=codec.STORED).image_u8

    def make(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """HQ and LQ of some rows, each (B, 3, H, W) uint8."""
        both: tuple[list[codec.Image], list[codec.Image]] = ([], [])
        for index in indices:
            for side, image in zip(both, self._pair(index), strict=True):
                side.append(image)
        hq_u8, lq_u8 = (torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous() for images in both)
        return hq_u8, lq_u8

    def make_on(self, indices: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """As `make`, but the pixels are made on a device and stay there, within the tolerance of `apply_batch`.

        Those that a shard holds are read.
        """
        rows = [self.rows[index] for index in indices]
        if any(row.get("pixels") for row in rows):
            hq_u8, lq_u8 = self.make(indices)
            return hq_u8.to(device), lq_u8.to(device)
        hq = []
        for index, row in zip(indices, rows, strict=True):
            with self._explained(index):
                hq.append(self._decode(row["shard"], row["offset"], row["length"]))
        return apply_batch(hq, [self.recipes[index] for index in indices], device)


class FeatureSource(Protocol):
    """Gives what the frozen parts made of pairs."""

    def take(self, indices: Sequence[int]) -> Features:
        """Features of some rows, stacked, on the processor."""


@dataclass
class LiveFeatures:
    """Computes features each time they are asked for."""

    pixels: PairPixels
    frozen: FrozenParts
    bf16: bool = False
    """Compute in bfloat16; what comes out is float16 and float32 as ever."""
    synthesis: Literal["processor", "device"] = "processor"
    """Where pixels are made; see TrainSettings."""
    keep_hq: bool = False
    """Give the HQ too, as hq_u8 (B, 3, H, W)."""

    @torch.no_grad()
    def take(self, indices: Sequence[int]) -> Features:
        """See FeatureSource."""
        device = self.frozen.device
        on_device = self.synthesis == "device"
        hq_u8, lq_u8 = self.pixels.make_on(indices, device) if on_device else self.pixels.make(indices)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.bf16):
            lrp_01 = self.frozen.lrp(_floats(lq_u8, device) / 255).clamp(0, 1).half()
            x0_BTD = self.frozen.encode(_floats(hq_u8, device) / 127.5 - 1)
            features_BSE = self.frozen.features(lrp_01.float())
        made = {"lq_u8": lq_u8, "lrp_01": lrp_01, "x0_BTD": x0_BTD.float(), "features_BSE": features_BSE.float()}
        if self.keep_hq:
            made["hq_u8"] = hq_u8
        return {name: tensor.cpu().contiguous() for name, tensor in made.items()}


def _floats(image_u8: Tensor, device: torch.device) -> Tensor:
    """Channels last: the layout in which convolutions are faster on processors."""
    return image_u8.to(device).float().contiguous(memory_format=torch.channels_last)


class KeptFeatures:
    """Features of the pairs that a run needs, in memory or mapped from files."""

    def __init__(self, needed: Sequence[int], chunks: Sequence[Features]) -> None:
        """Take chunks that hold the needed rows in their order."""
        self.place = {row: (at // CHUNK, at % CHUNK) for at, row in enumerate(needed)}
        self.chunks = chunks

    def take(self, indices: Sequence[int]) -> Features:
        """See FeatureSource."""
        places = [self.place[index] for index in indices]
        return {name: torch.stack([self.chunks[chunk][name][at] for chunk, at in places]) for name in self.chunks[0]}


def keep_in_memory(live: LiveFeatures, needed: Sequence[int], *, batch: int, tick: Tick) -> KeptFeatures:
    """Compute the features of the needed rows now and keep them."""
    parts = [needed[start : start + CHUNK] for start in range(0, len(needed), CHUNK)]
    chunks = []
    for part in parts:
        chunks.append(_chunk(live, part, batch))
        tick(min(len(chunks) * CHUNK, len(needed)), len(needed))
    return KeptFeatures(needed, chunks)


def write_chunks(
    live: LiveFeatures, needed: Sequence[int], folder: Path, *, batch: int, share: tuple[int, int], tick: Tick
) -> None:
    """Compute the features of the needed rows into files; those that are there already stay.

    Args:
        live: computes them.
        needed: rows, in the order in which they are kept.
        folder: named by everything that decides the features.
        batch: pairs per forward pass.
        share: (rank, processes); each process makes every processes-th file.
        tick: called after each file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rank, processes = share
    for number, start in enumerate(range(0, len(needed), CHUNK)):
        part = needed[start : start + CHUNK]
        path = folder / _name(number)
        if number % processes == rank and not path.is_file():
            partial = path.with_suffix(f".{os.getpid()}.partial")
            save_file(dict(_chunk(live, part, batch)), partial)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(path)
        tick(min(start + CHUNK, len(needed)), len(needed))


def open_chunks(needed: Sequence[int], folder: Path) -> KeptFeatures:
    """Map the files that `write_chunks` made.

    Raises:
        TrainError: one is missing or damaged.
    """
    chunks = []
    for number in range(-(-len(needed) // CHUNK)):
        path = folder / _name(number)
        try:
            chunks.append(load_file(path))
        except (OSError, SafetensorError) as error:
            raise TrainError(f"The cached features {path} cannot be read: {error}. Delete them and run again.") from error
    return KeptFeatures(needed, chunks)


def _name(number: int) -> str:
    return f"{number:06d}.safetensors"


def _chunk(live: LiveFeatures, rows: Sequence[int], batch: int) -> Features:
    made = [live.take(rows[start : start + batch]) for start in range(0, len(rows), batch)]
    return {name: torch.cat([part[name] for part in made]) for name in made[0]}
