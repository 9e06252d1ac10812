"""Pictures in, scores out: one by one, or in batches of one size on an accelerator."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from components.imaging.codec import Image
from components.imaging.iqa.identity import device
from components.imaging.iqa.loading import Network, build
from components.imaging.iqa.metrics import info
from components.imaging.iqa.weights import files, ready

BATCH: Mapping[str, int] = {"cpu": 1, "cuda": 16}
"""Pictures of one forward pass. Two are no faster than one on a CPU, and alone a score cannot depend on its batch."""

PERFECT_WITHIN = 0.01
"""What a metric may miss of `perfect`: those that judge miss it by 0.000003, those that do not by more than a half."""


class Scorer:
    """A metric that is loaded."""

    def __init__(self, name: str, network: Network, *, place: str = "cpu") -> None:
        """Take a network from `loading.build`, on the device where it was built."""
        self.name, self.metric, self.network, self.place = name, info(name), network, place

    def one(self, *images_u8: Image) -> float:
        """Score one picture, with its reference where the metric needs one; NaN for one that is too small."""
        if not self.large_enough(images_u8[0]):
            return math.nan
        tensors = [_tensor([self._sized(image)]) for image in images_u8]
        value = float(self._forward(*tensors)[0])
        return value if self._judges(*tensors[1:]) else math.nan

    def _sized(self, image_u8: Image) -> Image:
        """Follow the size rule of the metric."""
        if self.metric.input_px is not None:
            return fitted(image_u8, self.metric.input_px)
        height, width = (side - side % self.metric.multiple_px for side in image_u8.shape[:2])
        return image_u8[:height, :width]

    def _judges(self, *references: Any) -> bool:
        """Say whether the metric finds a reference perfect beside itself, where it is asked to."""
        perfect = self.metric.perfect
        return perfect is None or all(abs(float(self._forward(one, one)[0]) - perfect) <= PERFECT_WITHIN for one in references)

    def stream(self, images_u8: Iterable[Image | None]) -> Iterator[float]:
        """Score pictures as they come, in their order; NaN for None and for one that is too small.

        On a CPU one thread computes.
        """
        if self.metric.input_px is None:
            for image in images_u8:
                with one_thread():
                    value = math.nan if image is None else self.one(image)
                yield value
            return
        squares = (None if image is None else self._square(image) for image in images_u8)
        while batch := list(itertools.islice(squares, BATCH[self.place])):
            with one_thread():
                values = iter(self._batch([square for square in batch if square is not None]))
            yield from (math.nan if square is None else next(values) for square in batch)

    def _square(self, image_u8: Image) -> Image | None:
        return self._sized(image_u8) if self.large_enough(image_u8) else None

    def _batch(self, squares_u8: Sequence[Image]) -> list[float]:
        """Score pictures of one size; batches are filled up, so that kernels do not change with their number."""
        if not squares_u8:
            return []
        full = [*squares_u8, *[np.zeros_like(squares_u8[0])] * (BATCH[self.place] - len(squares_u8))]
        return [float(value) for value in self._forward(_tensor(full))[: len(squares_u8)]]

    def _forward(self, *tensors: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.network(*tensors).reshape(-1)

    def large_enough(self, image_u8: Image) -> bool:
        """Say whether the metric scores pictures of this size at all."""
        height, width = image_u8.shape[:2]
        return min(int(height), int(width)) >= self.metric.minimum_side_px


def score(
    name: str, images_u8: Sequence[Image], references_u8: Sequence[Image] | None = None, *, weights: Path | None = None
) -> list[float]:
    """Score pictures one by one.

    Args:
        name: key of METRICS.
        images_u8: (H, W, 3) RGB uint8 each, of any sizes.
        references_u8: the HQ picture of each, of equal size; only for metrics that need one.
        weights: the weights folder, for metrics that need some.

    Returns:
        Raw scores; NaN where the metric says nothing about a picture, e.g. because it is too small.

    Raises:
        UnknownName: there is no such metric.
        ValueError: references are missing, too many or of other sizes.
        WeightsError: its weights are not there.
    """
    if not info(name).needs_reference:
        opened = load(name, weights)
        return [opened.one(image) for image in images_u8]
    if references_u8 is None or len(references_u8) != len(images_u8):
        found = 0 if references_u8 is None else len(references_u8)
        raise ValueError(f"Expected one reference per picture for '{name}', got {found} for {len(images_u8)} pictures.")
    for image, reference in zip(images_u8, references_u8, strict=True):
        if image.shape != reference.shape:
            raise ValueError(f"Expected pictures of equal size for '{name}', got {image.shape} and {reference.shape}.")
    opened = load(name, weights)
    return [opened.one(*pair) for pair in zip(images_u8, references_u8, strict=True)]


def stream(name: str, images_u8: Iterable[Image | None], *, weights: Path | None = None) -> Iterator[float]:
    """Score pictures as they come, in batches where that is faster; see Scorer.stream.

    Raises:
        UnknownName: there is no such metric.
        ValueError: the metric needs references.
        WeightsError: its weights are not there.
    """
    if info(name).needs_reference:
        raise ValueError(f"Expected a metric that looks at one picture, '{name}' compares two. Use piqe or clipiqa.")
    return load(name, weights).stream(images_u8)


def fitted(image_u8: Image, side_px: int) -> Image:
    """Cut the largest square from the middle and scale it: by area means down, bicubic up."""
    height, width = image_u8.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(image_u8[top : top + side, left : left + side])
    if side == side_px:
        return square
    mode = cv2.INTER_AREA if side > side_px else cv2.INTER_CUBIC
    scaled: Image = cv2.resize(square, (side_px, side_px), interpolation=mode)
    return scaled


def load(name: str, weights: Path | None = None) -> Scorer:
    """Load a metric, once for each set of weights.

    Raises:
        UnknownName: there is no such metric.
        WeightsError: its weights are not there, or do not fit.
    """
    return _loaded(name, device(name), tuple(ready(name, weights).values()), weights)


@cache
def _loaded(name: str, place: str, digests: tuple[str, ...], weights: Path | None) -> Scorer:
    del digests
    return Scorer(name, build(name, files(name, weights), place), place=place)


def _tensor(images_u8: Sequence[Image]) -> Any:
    """Make (N, 3, H, W) float32 in [0, 1]."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(np.stack(images_u8).transpose(0, 3, 1, 2))).float() / 255


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread: the last digits of a score follow their number."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
