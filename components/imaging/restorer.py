"""Restore pictures: the one way from picture to picture, used by evaluation, batch restoration and serving alike.

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
from torch import Tensor, nn

from components.errors import SettingsError, WeightsError
from components.imaging.sampler import SamplerSettings
from components.records import content_hash
from models import bundle
from models.lucidflux import Adapter
from models.memory import place
from models.pipeline import Pipeline, Sampler

__all__ = ["RestoredPicture", "Restorer", "SamplerSettings"]

Image = NDArray[np.uint8]
Image01 = NDArray[np.float32]
"""(H, W, 3) RGB in [0, 1]."""


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
        device: str = "auto",
        batch: int = 1,
    ) -> None:
        """Load the weights.

        Args:
            base: bundle directory.
            adapter: trained adapter; None samples from the bare backbone, to compare with.
            sampler: how to sample.
            threads: processor threads while restoring; None leaves the process's number.
            device: torch device; `auto` is the GPU where there is one. A GPU computes in the released precision.
            batch: pictures of one size per forward pass; 1 makes results identical to the last bit whatever the order.

        Raises:
            WeightsError: a file is missing, cut, or belongs to a network of other sizes.
        """
        self.sampler, self.threads, self.batch = sampler or SamplerSettings(), threads, batch
        try:
            self.hashes = bundle.hashes(base)
            place_on = _device(device)
            dtype = torch.bfloat16 if place_on.startswith("cuda") else torch.float32
            frozen = bundle.load_frozen(base, dtype=dtype)
            trained = None if adapter is None else Adapter.load(adapter, frozen.config, dtype)
            self.placement = place(frozen, trained, self.sampler.memory, place_on)
            self.pipeline = Pipeline(frozen, trained, _sampler(self.sampler))
        except ValueError as error:
            raise WeightsError(str(error)) from error
        self.files = str(base) if adapter is None else f"{base} with {adapter}"
        self.adapter_sha256 = "" if adapter is None else hashlib.sha256(adapter.read_bytes()).hexdigest()

    @classmethod
    def holding(cls, frozen: bundle.FrozenParts, adapter: Adapter | None, sampler: SamplerSettings) -> Restorer:
        """One around parts that are in memory already, as a training has them; it has no identity.

        Args:
            frozen: parts where they can work.
            adapter: the weights as they are now.
            sampler: how to sample; its memory mode is not looked at.

        Raises:
            WeightsError: the sampler does not fit the network.
        """
        made = cls.__new__(cls)
        made.sampler, made.threads, made.batch = sampler, None, 1
        made.hashes, made.adapter_sha256, made.files = {}, "", "those in memory"
        try:
            made.pipeline = Pipeline(frozen, adapter, _sampler(sampler))
        except ValueError as error:
            raise WeightsError(str(error)) from error
        return made

    @property
    def identity(self) -> str:
        """Hash of everything that decides a result beside picture and seed."""
        return content_hash(self.hashes, self.adapter_sha256, self.sampler)

    @property
    def parameters(self) -> dict[str, int]:
        """Part -> number of parameters, `adapter` among them where there is one."""
        frozen = self.pipeline.frozen
        parts: dict[str, nn.Module] = {name: one for name, one in frozen.modules().items() if name not in frozen.config.starts}
        if self.pipeline.adapter is not None:
            parts["adapter"] = self.pipeline.adapter
        return {name: sum(tensor.numel() for tensor in module.parameters()) for name, module in parts.items()}

    def with_sampler(self, sampler: SamplerSettings) -> Restorer:
        """The same weights under another sampler; nothing is loaded again.

        Raises:
            WeightsError: the sampler does not fit the network, or wants another memory mode.
        """
        other = copy.copy(self)
        if sampler.memory != self.sampler.memory:
            raise WeightsError(
                f"The weights are loaded for memory = {self.sampler.memory!r}; load them again for {sampler.memory!r}."
            )
        try:
            other.sampler = sampler
            other.pipeline = Pipeline(self.pipeline.frozen, self.pipeline.adapter, _sampler(sampler))
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
            WeightsError: a result is not finite.
            SettingsError: the chosen kernel does not work on this device.
        """
        results = {
            index: RestoredPicture(_to_u8(lrp_01), _to_u8(restored_01))
            for index, lrp_01, restored_01 in self._each(images_u8, np.uint8, seeds)
        }
        return [results[index] for index in range(len(images_u8))]

    @torch.no_grad()
    def similarity(self, a_u8: Image, b_u8: Image) -> float:
        """Cosine of what the image encoder sees in two pictures, its tokens averaged: 1 for the same content.

        Args:
            a_u8: (H, W, 3) uint8 RGB.
            b_u8: likewise, of any size.
        """
        frozen = self.pipeline.frozen
        with _threads(self.threads):
            seen = [frozen.features(_to_01(image)[None].to(frozen.device)).float().mean(1)[0] for image in (a_u8, b_u8)]
        return float(torch.nn.functional.cosine_similarity(seen[0], seen[1], dim=0))

    def restore_01(self, images_01: Sequence[Image01], seeds: Sequence[int] | None = None) -> list[Image01]:
        """The same for pictures of more than 8 bits; what `restore` rounds is given as it is.

        Args:
            images_01: (H, W, 3) float32 RGB in [0, 1] each.
            seeds: one per picture; None derives them from the pixels, rounded to 8 bits.

        Raises:
            ValueError: a picture has another layout or a value that is not finite, or the seeds do not match.
            WeightsError: a result is not finite.
            SettingsError: the chosen kernel does not work on this device.
        """
        return [restored_01 for _, restored_01 in self.restore_both_01(images_01, seeds)]

    def restore_both_01(self, images_01: Sequence[Image01], seeds: Sequence[int] | None = None) -> list[tuple[Image01, Image01]]:
        """As `restore_01`, with what the light restorer alone makes of each: (LRP, restored)."""
        results = {
            index: (_to_array(lrp_01), _to_array(restored_01))
            for index, lrp_01, restored_01 in self._each(images_01, np.float32, seeds)
        }
        return [results[index] for index in range(len(images_01))]

    def _each(
        self, images: Sequence[Image | Image01], kind: type[np.generic], seeds: Sequence[int] | None
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """(index, LRP, restored) of each picture, (3, H, W) in [0, 1], those of one size together."""
        for image in images:
            _check(image, kind)
        given = [seed_of(image) for image in images] if seeds is None else list(seeds)
        if len(given) != len(images):
            raise ValueError(f"Expected one seed per picture, got {len(given)} seeds for {len(images)} pictures.")
        with _threads(self.threads):
            for group in _groups(images, self.batch):
                lq_01 = torch.stack([_to_01(images[index]) for index in group]).to(self.pipeline.frozen.device)
                try:
                    restored = self.pipeline.restore(lq_01, [given[index] for index in group])
                except FloatingPointError as error:
                    raise WeightsError(f"{error} Weights: {self.files}; fetch them again or restore them from a copy.") from error
                except ValueError as error:  # pictures and seeds were checked: a kernel does not take them here
                    raise SettingsError(str(error)) from error
                for row, index in enumerate(group):
                    yield index, restored.lrp_01[row], restored.restored_01[row]


def _device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def _sampler(settings: SamplerSettings) -> Sampler:
    return Sampler(**settings.model_dump(exclude={"memory"}))


def seed_of(image: Image | Image01) -> int:
    """Seed that depends on the size and the pixels alone, rounded to 8 bits where they have more; below 2**63."""
    image_u8 = image if image.dtype == np.uint8 else np.rint(image.clip(0, 1) * 255).astype(np.uint8)
    digest = hashlib.sha256(str(image_u8.shape).encode() + np.ascontiguousarray(image_u8).tobytes()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _check(image: Image | Image01, kind: type[np.generic]) -> None:
    if image.dtype != kind or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(
            f"Expected pictures (H, W, 3) {np.dtype(kind)}, got {image.shape} {image.dtype}; decode and convert them first."
        )
    if image.dtype != np.uint8 and not np.isfinite(image).all():
        raise ValueError("Expected finite values in [0, 1], got a picture with NaN or infinity; repair it first.")


def _groups(images: Sequence[Image | Image01], batch: int) -> Iterator[list[int]]:
    """Indices of pictures of one size, at most `batch` together."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        by_size.setdefault(image.shape, []).append(index)
    for indices in by_size.values():
        for start in range(0, len(indices), batch):
            yield indices[start : start + batch]


def _to_01(image: Image | Image01) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
    return tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor.clamp(0, 1)


def _to_array(image_01_CHW: Tensor) -> Image01:
    array: Image01 = image_01_CHW.clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(array)


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
