"""What one LQ/HQ pair costs, by stage, beside two other ways to make it; and what drawing costs.

    python -m benchmarks.synthesis --photos FOLDER [--preset dreamclear] [--pairs 12] [--sides 1024 512]

One thread; the three ways take turns over the same recipes and pictures. `plain` is torch as the published programs write
it: every kernel padded to 21x21 and applied by `conv2d`, sharpening with a 51x51 kernel, Poisson noise drawn per pixel.
`cropped` is what one writes next: OpenCV, separable sharpening, kernels at their own size, numpy's Poisson noise. All decode
and encode JPEG with the same libjpeg. Nothing is written to disk.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional

from components.imaging import codec
from components.imaging.degrade import kernels, operators, recipe
from components.imaging.degrade.carrier import Image, Pixels, to_image, to_pixels
from components.imaging.degrade.crop import crop
from components.imaging.degrade.filter import USM_SIGMA_PX, USM_TAPS, USM_THRESHOLD_U8, USM_WEIGHT, sharpen

PADDED = 21
"""Side to which the published programs pad every kernel."""
Step = Callable[[Any, Any, tuple[int, int]], Any]


def kernel_of(step: Any) -> Pixels:
    """The kernel that a step stands for."""
    if step.kind == "sinc":
        return kernels.sinc(step.size, step.cutoff)
    return kernels.spread(step.shape, step.size, (step.sigma_x_px, step.sigma_y_px), step.theta, step.beta)


def conv(image: torch.Tensor, kernel: Pixels) -> torch.Tensor:
    """Correlate every channel with a two-dimensional kernel by conv2d."""
    half = kernel.shape[0] // 2
    channels = image.shape[1]
    weight = torch.from_numpy(np.array(kernel))[None, None].repeat(channels, 1, 1, 1)
    return functional.conv2d(functional.pad(image, (half,) * 4, mode="reflect"), weight, groups=channels)


class Plain:
    """(1, 3, H, W) float32 in 0..1, operator by operator."""

    @staticmethod
    def begin(image_u8: Image) -> torch.Tensor:
        """Leave the integers."""
        return torch.from_numpy(image_u8).permute(2, 0, 1)[None].float() / 255

    @staticmethod
    def end(image: torch.Tensor) -> Image:
        """Back to integers."""
        return (image[0].permute(1, 2, 0).clamp(0, 1) * 255).round().to(torch.uint8).numpy()

    @staticmethod
    def sharpen(image: torch.Tensor) -> torch.Tensor:
        """Unsharp masking with a 51x51 kernel."""
        line = cv2.getGaussianKernel(USM_TAPS, USM_SIGMA_PX).astype(np.float32)
        kernel = line @ line.T
        detail = image - conv(image, kernel)
        soft = conv((detail.abs() * 255 > USM_THRESHOLD_U8).float(), kernel)
        return soft * (image + USM_WEIGHT * detail).clamp(0, 1) + (1 - soft) * image

    @staticmethod
    def filter(image: torch.Tensor, step: Any, _: tuple[int, int]) -> torch.Tensor:
        """Blur with the kernel padded to 21x21."""
        kernel = kernel_of(step)
        return conv(image, np.pad(kernel, (PADDED - kernel.shape[0]) // 2))

    @staticmethod
    def noise(image: torch.Tensor, step: Any, _: tuple[int, int]) -> torch.Tensor:
        """Gaussian noise."""
        generator = torch.Generator().manual_seed(step.seed)
        shape = image.shape if step.kind == "noise" else image[:, :1].shape
        return (image + torch.randn(shape, generator=generator) * (step.sigma_u8 / 255)).clamp(0, 1)

    @staticmethod
    def poisson(image: torch.Tensor, step: Any, _: tuple[int, int]) -> torch.Tensor:
        """Poisson noise, a draw per pixel."""
        generator = torch.Generator().manual_seed(step.seed)
        levels = (image.mean(1, keepdim=True) if step.grey else image).mul(255).round().clamp(0, 255) / 255
        values = 2 ** math.ceil(math.log2(len(torch.unique(levels))))
        noise = torch.poisson(levels * values, generator=generator) / values - levels
        return (image + noise * step.scale).clamp(0, 1)

    @staticmethod
    def jpeg(image: torch.Tensor, step: Any, _: tuple[int, int]) -> torch.Tensor:
        """Encode and decode."""
        return Plain.begin(codec.decode(codec.encode_jpeg(Plain.end(image), step.quality)).image_u8)

    @staticmethod
    def resample(image: torch.Tensor, step: Any, size_px: tuple[int, int]) -> torch.Tensor:
        """Resample by interpolate."""
        if step.kind == "rescale":
            return functional.interpolate(image, scale_factor=step.factor, mode=step.mode)
        part = step.part if step.kind == "fit" else 1
        size = [max(1, int(side * part)) for side in size_px]
        return functional.interpolate(image, size=size, mode=step.mode)


class Cropped:
    """(H, W, 3) float32, 0..255, by OpenCV and numpy."""

    begin, end = staticmethod(to_pixels), staticmethod(to_image)

    @staticmethod
    def sharpen(image: Pixels) -> Pixels:
        """Unsharp masking by two separable blurs."""
        size = (USM_TAPS, USM_TAPS)
        detail = image - cv2.GaussianBlur(image, size, USM_SIGMA_PX)
        soft = cv2.GaussianBlur((np.abs(detail) > USM_THRESHOLD_U8).astype(np.float32), size, USM_SIGMA_PX)
        sharp = np.clip(image + np.float32(USM_WEIGHT) * detail, 0, 255)
        return np.asarray(soft * sharp + (1 - soft) * image)

    @staticmethod
    def filter(image: Pixels, step: Any, _: tuple[int, int]) -> Pixels:
        """Blur with the kernel at its own size; OpenCV takes a DFT for large ones."""
        return np.asarray(cv2.filter2D(image, -1, kernel_of(step), borderType=cv2.BORDER_REFLECT_101))

    @staticmethod
    def noise(image: Pixels, step: Any, size_px: tuple[int, int]) -> Pixels:
        """Gaussian noise, ours."""
        return operators.DEGRADATIONS[step.kind](image, step, size_px)

    @staticmethod
    def poisson(image: Pixels, step: Any, _: tuple[int, int]) -> Pixels:
        """Poisson noise, a draw per pixel."""
        levels_u8 = to_image(image)
        if step.grey:
            levels_u8 = cv2.cvtColor(levels_u8, cv2.COLOR_RGB2GRAY)[..., None]
        values = 2 ** math.ceil(math.log2(len(np.unique(levels_u8))))
        levels = levels_u8 * np.float32(1 / 255)
        noise = np.random.default_rng(step.seed).poisson(levels * values) / np.float32(values) - levels
        return np.asarray(np.clip(image + noise.astype(np.float32) * np.float32(255 * step.scale), 0, 255))

    @staticmethod
    def jpeg(image: Pixels, step: Any, size_px: tuple[int, int]) -> Pixels:
        """Encode and decode."""
        return operators.DEGRADATIONS["jpeg"](image, step, size_px)

    resample = noise


class Ours:
    """What the product does."""

    begin, end, sharpen = staticmethod(to_pixels), staticmethod(to_image), staticmethod(sharpen)
    filter = noise = poisson = jpeg = resample = Cropped.noise


STAGES = {"spread": "filter", "sinc": "filter", "noise": "noise", "grey_noise": "noise", "poisson": "poisson", "jpeg": "jpeg"}
WAYS: dict[str, Any] = {"plain": Plain, "cropped": Cropped, "ours": Ours}


def make(way: Any, hq_u8: Image, drawn: recipe.Recipe, seconds: dict[str, float]) -> None:
    """Make one pair and add up what each stage took."""
    began = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal began
        now = time.perf_counter()
        seconds[stage] += now - began
        began = now

    hq_u8 = crop(hq_u8, drawn.crop_px, (drawn.top, drawn.left), flip=drawn.flip)
    image = way.begin(hq_u8)
    lap("begin")
    if drawn.sharpen:
        image = way.begin(way.end(way.sharpen(image)))
        lap("sharpen")
    for step in drawn.steps:
        stage = STAGES.get(step.kind, "resample")
        image = getattr(way, stage)(image, step, hq_u8.shape[:2])
        lap(stage)
    way.end(image)
    lap("end")


def pictures(folder: Path, side_px: int, most: int) -> list[Image]:
    """Photos of at least that size; smaller ones are enlarged."""
    found = [codec.decode(path.read_bytes()).image_u8 for path in sorted(folder.glob("*.jp*g"))[:most]]
    sized = []
    for image_u8 in found:
        scale = max(1.0, side_px / min(image_u8.shape[:2]))
        sized.append(cv2.resize(image_u8, None, fx=scale, fy=scale) if scale > 1 else image_u8)
    return [image_u8 for image_u8 in sized if min(image_u8.shape[:2]) >= side_px]


def compare(photos: Path, preset: str, side_px: int, pairs: int) -> None:
    """Time the three ways, in turns, and print medians by stage."""
    settings = recipe.preset(preset).model_copy(update={"crop_px": side_px})
    images = pictures(photos, side_px, pairs)
    stages: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in WAYS}
    totals: dict[str, list[float]] = defaultdict(list)
    for number in range(-1, pairs):
        drawn = recipe.draw(0, f"pair-{number}", 0, settings)
        for name, way in WAYS.items():
            seconds: dict[str, float] = defaultdict(float)
            make(way, images[number % len(images)], drawn, seconds)
            if number >= 0:
                totals[name].append(sum(seconds.values()))
                for stage, took in seconds.items():
                    stages[name][stage].append(took)
    print(f"{preset}, {side_px} px, {pairs} pairs of {len(images)} photos, one thread, ms per pair (mean over all pairs):")
    for name in WAYS:
        parts = ", ".join(f"{stage} {1e3 * sum(took) / pairs:.1f}" for stage, took in stages[name].items())
        print(f"  {name}: {1e3 * statistics.mean(totals[name]):.1f} ({parts})")
    for name in ("plain", "cropped"):
        print(f"  {name} / ours: {sum(totals[name]) / sum(totals['ours']):.1f}")


def some(job: tuple[Path, str, int, int, int]) -> float:
    """Make pairs in a worker; gives the seconds."""
    folder, preset, side_px, first, count = job
    cv2.setNumThreads(1)
    settings = recipe.preset(preset).model_copy(update={"crop_px": side_px})
    images = pictures(folder, side_px, 4)
    began = time.perf_counter()
    for number in range(first, first + count):
        recipe.apply(images[number % len(images)], recipe.draw(0, f"pair-{number}", 0, settings))
    return time.perf_counter() - began


def main() -> None:
    """Run all measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--preset", default="dreamclear")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 512])
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    for side_px in given.sides:
        compare(given.photos, given.preset, side_px, given.pairs)
    settings = recipe.preset(given.preset)
    began = time.perf_counter()
    for number in range(20_000):
        recipe.draw(0, f"image-{number}", 0, settings)
    print(f"drawing: {20_000 / (time.perf_counter() - began):.0f} recipes/s")
    halves = [(given.photos, given.preset, 512, first, 60) for first in (0, 60)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(some, [(*half[:4], 2) for half in halves]))
        together = max(pool.map(some, halves))
        alone = sum(pool.submit(some, half).result() for half in halves)
    print(f"two workers over one: {alone / together:.2f}")


if __name__ == "__main__":
    main()
