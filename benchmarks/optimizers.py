"""Loss curves of AdamW and Adafactor: torch alone, and ZeRO-2 with one and two processes, on the same samples.

`python -m benchmarks.optimizers PHOTOS WORK [--steps N] [--batch N] [--pairs N] [--only WORDS]`

Settings are those of the profile `tiny` in float32, at its learning rate for both optimisers; weights are not averaged.
A curve that is there already is not made again.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

from components.backends import manifest
from components.backends.storage import LocalStorage
from components.imaging import codec
from components.imaging.degrade import recipe
from components.records import Manifest, canonical_json, content_hash
from components.train.events import Event
from components.train.run import train
from components.train.settings import TrainSettings
from flows.settings import load

VARIANTS = {
    "AdamW, plain": ("adamw", "plain", 1),
    "AdamW, ZeRO-2 x 1": ("adamw", "zero2", 1),
    "AdamW, ZeRO-2 x 2": ("adamw", "zero2", 2),
    "Adafactor, plain": ("adafactor", "plain", 1),
    "Adafactor, ZeRO-2 x 1": ("adafactor", "zero2", 1),
    "Adafactor, ZeRO-2 x 2": ("adafactor", "zero2", 2),
}


def make_pairs(photos: Path, store: LocalStorage, number: int, crop_px: int) -> Manifest:
    """Pairs of the profile's degradation, drawn from the photos in turn."""
    paths = sorted(path for path in photos.iterdir() if path.suffix in (".png", ".jpg"))[:number]
    settings = recipe.preset("tiny").model_copy(update={"crop_px": crop_px})
    rows, shard = [], b""
    for turn in range(number):
        path, epoch = paths[turn % len(paths)], turn // len(paths)
        data = codec.encode_png(codec.decode(path.read_bytes()).image_u8[: 2 * crop_px, : 2 * crop_px])
        row = {"id": content_hash(path.name, epoch), "hq_id": path.stem, "epoch": epoch, "seed": 0, "split": "train"}
        drawn = canonical_json(recipe.draw(0, path.stem, epoch, settings))
        rows.append(row | {"recipe": drawn, "shard": "shards/one.tar", "offset": len(shard), "length": len(data)})
        shard += data
    store.put("shards/one.tar", shard)
    return manifest.write(store, "pairs", rows)


def curve(store: LocalStorage, pairs: Manifest, settings: TrainSettings, work: Path) -> list[float]:
    """Loss of every update."""
    file = work / f"{content_hash(settings, pairs.sha256)[:16]}.json"
    if not file.is_file():
        losses: list[float] = []

        def listen(event: Event) -> None:
            if event["event"] == "step":
                losses.append(float(event["loss"]))

        folder = work / file.stem
        train(store, pairs, settings, base=load("tiny").base_folder, work=folder, on_event=listen)
        file.write_text(json.dumps(losses))
    found: list[float] = json.loads(file.read_text())
    return found


def main() -> None:
    """Print one line per variant: mean loss of each fifth, and the largest relative distance from the optimiser's first curve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("photos", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--only", default="", help="variants whose name ends with one of these, divided by commas")
    chosen = parser.parse_args()
    store = LocalStorage(chosen.work / "objects")
    profile = load("tiny", [f"train.steps={chosen.steps}", "train.precision=fp32", "train.ema_decay=0"])
    pairs = make_pairs(chosen.photos, store, chosen.pairs, 128)
    plain: dict[str, list[float]] = {}
    wanted = tuple(chosen.only.split(","))
    for name, (optimizer, engine, processes) in VARIANTS.items():
        if not name.endswith(wanted):
            continue
        spread = {"engine": engine, "processes": processes, "micro_batch_size": chosen.batch // 2, "accumulation": 2 // processes}
        settings = profile.train.model_copy(update={"optimizer": optimizer, **spread})
        losses = curve(store, pairs, settings, chosen.work)
        beside = plain.setdefault(optimizer, losses)
        fifth = len(losses) // 5
        means = " ".join(f"{statistics.mean(losses[start : start + fifth]):.4f}" for start in range(0, 5 * fifth, fifth))
        far = max(abs(one - other) / other for one, other in zip(losses[:50], beside[:50], strict=True))
        print(f"{name:22s} fifths {means}  largest distance from the first of its kind in 50 steps {far:.1e}", flush=True)


if __name__ == "__main__":
    main()
