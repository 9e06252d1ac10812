"""What the small weights restore, on crops that neither they nor the quickstart's adapter were trained on.

    python -m benchmarks.small_weights ADAPTER [BUNDLE] [--control ADAPTER BUNDLE] [--setting STEPS:START[:FIDELITY]]...
                                       [--niqe FILE] [--sheet FILE] [--tile PX OVERLAP_PX] [--crops N]
    python -m benchmarks.small_weights --make-control BUNDLE FOLDER

ADAPTER is what a quickstart trained (`adapter.safetensors` in its home). The crops have 256 px and show china, coffee and
rocket; `moderate` and `heavy` damage them. Beside LQ, the bilateral filter, the light restorer and the codec alone stand the
backbone without an adapter and, with `--control`, an adapter that was trained in the same way on a backbone of random
numbers: `--make-control` writes such a bundle, `lucidflux --set base=FOLDER quickstart` trains on it.

Gradient energy is the mean square of neighbouring pixels' differences over that of HQ; border is the mean step at token
borders over that inside, of the picture over HQ. NIQE needs its parameters, `niqe_pris_params.npz`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from benchmarks.fidelity import PRESETS, SEED, held_out
from components.imaging import codec, iqa
from components.imaging.baseline import bilateral
from components.imaging.degrade.recipe import apply, draw, preset
from components.imaging.iqa import loading
from components.imaging.restorer import Restorer, SamplerSettings
from models import bundle
from models.config import CONFIG_FILE, NetworkConfig

SETTINGS = ("4:0.4", "3:0.3", "1:0.4", "1:0.4:0.5")
RANDOM = ("backbone", "prompt", "connector")
"""Parts of the control that hold random numbers."""

Images = list[codec.Image]
Metric = Callable[[Images, Images], list[float]]


def main() -> None:
    """Write the control's bundle, or restore, score and print."""
    given = parse()
    if given.make_control:
        make_control(*given.make_control)
        return
    bundle_config = NetworkConfig.load(given.bundle)
    metrics = build_metrics(bundle_config.latent.token_px, given.niqe)
    print("| preset | picture | " + " | ".join(metrics) + " |\n|---|---|" + "---|" * len(metrics))
    crops = held_out()
    crops = crops[:: max(1, len(crops) // given.crops)] if given.crops else crops
    rows: dict[str, dict[str, Images]] = {}
    for name in PRESETS:
        pairs = [apply(crop, draw(SEED, str(index), 0, preset(name))) for index, crop in enumerate(crops)]
        hq, lq = [list(side) for side in zip(*pairs, strict=True)]
        rows[name] = {"HQ": hq}
        for label, pictures in methods(given, lq, hq):
            rows[name][label] = pictures
            values = [np.nanmean(metric(pictures, hq)) for metric in metrics.values()]
            print(f"| {name} | {label} | " + " | ".join(f"{value:.3f}" for value in values) + " |", flush=True)
    if given.sheet:
        given.sheet.write_bytes(codec.encode_png(sheet(rows)))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapter", type=Path, nargs="?")
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("models/tiny"))
    parser.add_argument("--control", type=Path, nargs=2, metavar=("ADAPTER", "BUNDLE"))
    parser.add_argument("--setting", action="append", metavar="STEPS:START[:FIDELITY]")
    parser.add_argument("--tile", type=int, nargs=2, default=(256, 64), metavar=("PX", "OVERLAP_PX"))
    parser.add_argument("--crops", type=int)
    parser.add_argument("--niqe", type=Path)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--make-control", type=Path, nargs=2, metavar=("BUNDLE", "FOLDER"))
    return parser.parse_args()


def make_control(source: Path, target: Path) -> None:
    """Copy a bundle with random numbers in the backbone and what was trained with it."""
    shutil.copytree(source, target)
    torch.manual_seed(SEED)
    parts = bundle.build(NetworkConfig.load(target)).modules()
    for name in RANDOM:
        bundle.write_weights(target / bundle.FROZEN_FILES[name], parts[name])
    print(f"wrote {target}: {CONFIG_FILE} and weights, random in {', '.join(RANDOM)}")


def methods(given: argparse.Namespace, lq: Images, hq: Images) -> Iterator[tuple[str, Images]]:
    """(label, pictures) of everything that is compared."""
    yield "LQ", lq
    yield "bilateral", [bilateral(image) for image in lq]
    base = SamplerSettings(guidance=1.0, shift="none", tile_px=given.tile[0], overlap_px=given.tile[1])
    whole = Restorer(given.bundle, given.adapter, base)
    yield "codec of HQ", through_codec(whole, hq)
    settings = [settings_of(text, base) for text in given.setting or SETTINGS]
    for index, (label, sampler) in enumerate(settings):
        results = whole.with_sampler(sampler).restore(lq)
        if not index:
            yield "LRP", [result.lrp_u8 for result in results]
        yield label, [result.restored_u8 for result in results]
    label, sampler = settings[0]
    for kind, adapter, folder in ("backbone alone", None, given.bundle), ("random backbone", *(given.control or (None, None))):
        if folder is not None:
            results = Restorer(folder, adapter, sampler).restore(lq)
            yield f"{kind}, {label}", [result.restored_u8 for result in results]


def settings_of(text: str, base: SamplerSettings) -> tuple[str, SamplerSettings]:
    """`4:0.4` or `1:0.4:0.5` as a label and a sampler."""
    steps, start, fidelity = [*text.split(":"), "0"][:3]
    update = {"steps": int(steps), "start": float(start), "fidelity": float(fidelity)}
    label = f"start {start}, {steps} steps" + (f", fidelity {fidelity}" if float(fidelity) else "")
    return label, base.model_copy(update=update)


@torch.no_grad()
def through_codec(restorer: Restorer, images: Images) -> Images:
    """Encode and decode: the ceiling of everything restored."""
    frozen = restorer.pipeline.frozen
    results = []
    for image in images:
        tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
        decoded = frozen.decode(frozen.encode(tensor), *image.shape[:2])[0].permute(1, 2, 0)
        results.append(((decoded + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy())
    return results


def build_metrics(token_px: int, niqe: Path | None) -> Mapping[str, Metric]:
    """Column -> scores of pictures beside their HQ."""
    columns: dict[str, Metric] = {
        "PSNR": lambda images, hq: iqa.score("psnr", images, hq),
        "SSIM": lambda images, hq: iqa.score("ssim", images, hq),
        "PIQE": lambda images, _: iqa.score("piqe", images),
    }
    if niqe:
        network = loading.build("niqe", {"niqe": niqe}, "cpu")
        columns["NIQE"] = lambda images, _: [float(network(to_01(image))) for image in images]
    columns["gradient energy"] = lambda images, hq: [energy(a) / energy(b) for a, b in zip(images, hq, strict=True)]
    columns["border"] = lambda images, hq: [border(a, token_px) / border(b, token_px) for a, b in zip(images, hq, strict=True)]
    return columns


def to_01(image_u8: codec.Image) -> torch.Tensor:
    """(H, W, 3) uint8 to (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(image_u8).permute(2, 0, 1)[None].float() / 255


def steps_of(image_u8: codec.Image) -> tuple[codec.Image, codec.Image]:
    """Differences of neighbours, along rows and along columns."""
    grey = image_u8.astype(np.float32).mean(2)
    return np.diff(grey, axis=1), np.diff(grey, axis=0).T


def energy(image_u8: codec.Image) -> float:
    """Mean square of neighbouring pixels' differences."""
    return float(np.mean([np.square(difference).mean() for difference in steps_of(image_u8)]))


def border(image_u8: codec.Image, token_px: int) -> float:
    """Mean step at token borders over that inside tokens."""
    at, inside = 0.0, 0.0
    for difference in steps_of(image_u8):
        on = np.arange(1, difference.shape[1] + 1) % token_px == 0
        at += float(np.abs(difference[:, on]).mean())
        inside += float(np.abs(difference[:, ~on]).mean())
    return at / inside


def sheet(rows: Mapping[str, Mapping[str, Images]]) -> codec.Image:
    """Pictures side by side: a row per crop, a column per method."""
    lines = []
    for columns in rows.values():
        lines += [np.concatenate(line, axis=1) for line in zip(*columns.values(), strict=True)]
    return np.concatenate(lines, axis=0)


if __name__ == "__main__":
    sys.exit(main())
