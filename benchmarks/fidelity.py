"""What `fidelity` does: scores against its value on held-out packaged photos, as a table and as a curve.

`python -m benchmarks.fidelity ADAPTER [BUNDLE] [--steps N] [--start T] [--picture FILE]`

ADAPTER is what a quickstart trained (`adapter.safetensors` in its home). Crops of 256 px of the three scenes that neither
the small weights nor the quickstart were trained on, damaged by the two frozen presets.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from components.imaging import codec, iqa
from components.imaging.degrade.recipe import apply, draw, preset
from components.imaging.restorer import Restorer, SamplerSettings
from components.ingest.packaged import PackagedSource
from components.ingest.source import About

PRESETS = ("moderate", "heavy")
HELD_OUT = ("china", "coffee", "rocket")
VALUES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
COLUMNS = ("PSNR to HQ", "PSNR to LRP", "PIQE", "detail")
SEED = 50


def main() -> None:
    """Restore, score, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("models/tiny"))
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--start", type=float, default=0.4)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    sampler = SamplerSettings(steps=given.steps, start=given.start, guidance=1.0, shift="none", tile_px=256, overlap_px=64)
    restorer = Restorer(given.bundle, given.adapter, sampler)
    crops = held_out()
    print(
        f"{given.steps} steps from {given.start}, n = {len(crops)} per preset; detail = mean |difference| of neighbours, levels"
    )
    print("| preset | fidelity | " + " | ".join(COLUMNS) + " |\n|---|---|" + "---|" * len(COLUMNS))
    curves = {}
    for name in PRESETS:
        pairs = [apply(crop, draw(SEED, f"{index}", 0, preset(name))) for index, crop in enumerate(crops)]
        for value in VALUES:
            row = scores(restorer.with_sampler(sampler.model_copy(update={"fidelity": value})), pairs)
            curves[name, value] = row
            print(f"| {name} | {value} | " + " | ".join(f"{score:.2f}" for score in row) + " |", flush=True)
    if given.picture:
        plot(curves, given.picture)


def held_out() -> list[codec.Image]:
    """Crops of the scenes that no training saw."""
    source = PackagedSource(About("packaged"), crop_px=256)
    found = source.read([entry for entry in source.entries() if entry.scene in HELD_OUT])
    return [codec.decode(fetched.data).image_u8 for fetched in found if fetched.data is not None]


def scores(restorer: Restorer, pairs: list[tuple[codec.Image, codec.Image]]) -> list[float]:
    """Means over the pictures, in the order of COLUMNS; pictures without texture have no PIQE."""
    hq, lq = [list(side) for side in zip(*pairs, strict=True)]
    results = restorer.restore(lq)
    restored, lrp = [result.restored_u8 for result in results], [result.lrp_u8 for result in results]
    detail = [float(np.abs(np.diff(image.astype(float), axis=1)).mean()) for image in restored]
    columns = (iqa.score("psnr", restored, hq), iqa.score("psnr", restored, lrp), iqa.score("piqe", restored), detail)
    return [float(np.nanmean(column)) for column in columns]


def plot(curves: dict[tuple[str, float], list[float]], path: Path) -> None:
    """One panel per score."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 3, figsize=(10, 3), layout="constrained")
    for column, panel in enumerate(panels):
        for name in PRESETS:
            inner = [value for value in VALUES if column != 1 or value < 1]  # equal pictures have no finite PSNR
            panel.plot(inner, [curves[name, value][column] for value in inner], marker="o", label=name)
        panel.set_xlabel("fidelity")
        panel.set_title(COLUMNS[column] + (" (lower is better)" if column == 2 else ", dB"))
        panel.grid(alpha=0.3)
    panels[0].legend()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
