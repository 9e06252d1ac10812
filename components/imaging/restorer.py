"""Restore pictures: the one way from uint8 to uint8, used by evaluation, batch restoration and serving alike.

A picture's result depends on its pixels, its seed, the weights and the sampler, not on its neighbours: one picture is
one forward pass unless the caller asks for batches, whose rounding may move a value by one level.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.errors import WeightsError
from components.imaging.sampler import SamplerSettings
from components.records import content_hash
from models import bundle
from models.lucidflux import Adapter
from models.pipeline import Pipeline, Sampler

__all__ = ["RestoredPicture", "Restorer", "SamplerSettings"]

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class RestoredPicture:
    """Both results at the size of the input, (H, W, 3) uint8 RGB."""

    lrp_u8: Image
    """What the light restorer alone makes."""
    restored_u8: Image


class Restorer:
    """A loaded network and its sampler."""

    def __init__(
        self,
        base: Path,
        adapter: Path | None,
        sampler: SamplerSettings | None = None,
        *,
        threads: int | None = None,
        device: str = "cpu",
        batch: int = 1,
    ) -> None:
        """Load the weights.

        Args:
            base: bundle directory.
            adapter: trained adapter; None samples from the bare backbone, to compare with.
            sampler: how to sample.
            threads: processor threads while restoring; None leaves the process's number.
            device: torch device.
            batch: pictures of one size per forward pass; 1 makes results identical to the last bit whatever the order.

        Raises:
            WeightsError: a file is missing, cut, or belongs to a network of other sizes.
        """
        self.sampler, self.threads, self.batch = sampler or SamplerSettings(), threads, batch
        try:
            self.hashes = bundle.hashes(base)
            frozen = bundle.load_frozen(base, device)
            trained = None if adapter is None else Adapter.load(adapter, frozen.config).to(device)
            self.pipeline = Pipeline(frozen, trained, Sampler(**self.sampler.model_dump()))
        except ValueError as error:
            raise WeightsError(str(error)) from error
        self.adapter_sha256 = "" if adapter is None else hashlib.sha256(adapter.read_bytes()).hexdigest()

    @property
    def identity(self) -> str:
        """Hash of everything that decides a result beside picture and seed."""
        return content_hash(self.hashes, self.adapter_sha256, self.sampler)

    def with_sampler(self, sampler: SamplerSettings) -> Restorer:
        """The same weights under another sampler; nothing is loaded again.

        Raises:
            WeightsError: the sampler does not fit the network.
        """
        other = copy.copy(self)
        try:
            other.sampler = sampler
            other.pipeline = Pipeline(self.pipeline.frozen, self.pipeline.adapter, Sampler(**sampler.model_dump()))
        except ValueError as error:
            raise WeightsError(str(error)) from error
        return other

    def restore(self, images_u8: Sequence[Image], seeds: Sequence[int] | None = None) -> list[RestoredPicture]:
        """Restore pictures of any size from 1x1 px, in the given order.

        Args:
            images_u8: (H, W, 3) uint8 RGB each.
            seeds: one per picture; None derives them from the pixels.

        Raises:
            ValueError: a picture has another layout, or the seeds are too few or too many.
        """
        for image_u8 in images_u8:
            if image_u8.dtype != np.uint8 or image_u8.ndim != 3 or image_u8.shape[2] != 3 or 0 in image_u8.shape:
                raise ValueError(f"Expected pictures (H, W, 3) uint8, got {image_u8.shape} {image_u8.dtype}; decode them first.")
        given = [seed_of(image_u8) for image_u8 in images_u8] if seeds is None else list(seeds)
        if len(given) != len(images_u8):
            raise ValueError(f"Expected one seed per picture, got {len(given)} seeds for {len(images_u8)} pictures.")
        results: dict[int, RestoredPicture] = {}
        with _threads(self.threads):
            for group in _groups(images_u8, self.batch):
                lq_01 = torch.stack([_to_01(images_u8[index]) for index in group]).to(self.pipeline.frozen.device)
                restored = self.pipeline.restore(lq_01, [given[index] for index in group])
                for row, index in enumerate(group):
                    results[index] = RestoredPicture(_to_u8(restored.lrp_01[row]), _to_u8(restored.restored_01[row]))
        return [results[index] for index in range(len(images_u8))]


def seed_of(image_u8: Image) -> int:
    """Seed that depends on the pixels and the size alone, below 2**63."""
    digest = hashlib.sha256(str(image_u8.shape).encode() + np.ascontiguousarray(image_u8).tobytes()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _groups(images_u8: Sequence[Image], batch: int) -> Iterator[list[int]]:
    """Indices of pictures of one size, at most `batch` together."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for index, image_u8 in enumerate(images_u8):
        by_size.setdefault(image_u8.shape, []).append(index)
    for indices in by_size.values():
        for start in range(0, len(indices), batch):
            yield indices[start : start + batch]


def _to_01(image_u8: Image) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image_u8)).permute(2, 0, 1).float() / 255


def _to_u8(image_01_CHW: Tensor) -> Image:
    array: Image = (image_01_CHW.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(array)


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
