"""What batch restoration costs beside the network: overhead, the parent's memory, decoding and encoding by two workers.

`python -m benchmarks.restore_batch overhead [--pictures 1000] [--px 256]`
    The miniature over made pictures: the batch, and before and after it the bare restorer over half of the same pictures
    each, decoded beforehand. Start-up (planning, loading the model) is printed apart.
`python -m benchmarks.restore_batch memory [--pictures 100 1000 10000] [--workers 2]`
    Peak memory of the parent alone, each number of pictures in a process of its own. The restorer is a stand-in.
`python -m benchmarks.restore_batch scaling [--pictures 400] [--px 512]`
    One and two workers that decode and encode without overlap, so that one worker is one core. The restorer is a stand-in.

Other work on the machine hits wall times.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.stand_in import StandIn
from components.imaging import codec
from components.imaging.sampler import SamplerSettings
from components.records import Restoration
from components.restore.model import Model
from components.restore.run import Batch, restore
from components.restore.settings import RestoreSettings
from flows.settings import load

if TYPE_CHECKING:
    from components.imaging.restorer import Restorer


def make_pictures(folder: Path, count: int, px: int) -> None:
    """Write PNG and JPEG files in turn: smooth patches with grain, as photos compress."""
    folder.mkdir(parents=True)
    for number in range(count):
        random = np.random.default_rng(number)
        coarse = random.integers(0, 256, (max(1, px // 16), max(1, px // 16), 3)).astype(np.float32)
        smooth = coarse.repeat(-(-px // coarse.shape[0]), 0).repeat(-(-px // coarse.shape[1]), 1)[:px, :px]
        image_u8 = (smooth + random.normal(0, 4, (px, px, 3))).clip(0, 255).astype(np.uint8)
        data, suffix = (codec.encode_png(image_u8), "png") if number % 2 else (codec.encode_jpeg(image_u8, 90), "jpg")
        (folder / f"{number % 100:02}").mkdir(exist_ok=True)
        (folder / f"{number % 100:02}" / f"{number:06}.{suffix}").write_bytes(data)


def batch_of(folder: Path, model: Model, restorer: Restorer | None = None, **settings: object) -> Batch:
    """Everything inside one folder."""
    return Batch(
        model=model,
        settings=RestoreSettings.model_validate(settings),
        output=str(folder / "out"),
        state=f"sqlite:///{folder / 'state.db'}",
        objects=str(folder / "objects"),
        restorer=restorer,
    )


def overhead(folder: Path, pictures: int, px: int) -> None:
    """Print the batch's time beside the bare restorer's."""
    make_pictures(folder / "in", pictures, px)
    profile = load("tiny")
    model = Model("tiny", profile.base_folder, None, profile.sampler)
    restorer = model.load()
    decoded = [codec.source(path.read_bytes()).image_01 for path in sorted((folder / "in").rglob("*.*"))]
    restorer.restore_01(decoded[:2], seeds=[0, 0])  # the first calls are slower
    half = len(decoded) // 2
    bare = [_bare(restorer, decoded[:half])]
    began, processor = time.monotonic(), time.process_time()
    made = restore([str(folder / "in")], batch_of(folder, model, restorer, workers=1))
    seconds, processor = time.monotonic() - began, time.process_time() - processor
    bare.append(_bare(restorer, decoded[half:]))
    wall, cpu = (sum(pair[index] for pair in bare) for index in (0, 1))
    assert made.restored == pictures
    print(
        f"{pictures} pictures of {px}x{px}; bare restorer {wall:.1f} s wall, {cpu:.1f} s processor ({wall / pictures:.4f} s each)"
    )
    print(f"batch: work {made.work_seconds:.1f} s wall, {made.work_seconds / wall - 1:+.1%} over the bare restorer")
    print(f"batch: everything {seconds:.1f} s wall, {processor:.1f} s processor, {processor / cpu - 1:+.1%} of processor time")
    print(
        f"start-up apart: {seconds - made.work_seconds:.1f} s for listing, planning, manifest and sidecar (model loaded before)"
    )


def _bare(restorer: Restorer, decoded: Sequence[np.ndarray]) -> tuple[float, float]:
    """Wall and processor time of the restorer alone, a picture a call."""
    began, processor = time.monotonic(), time.process_time()
    for image_01 in decoded:
        restorer.restore_01([image_01], seeds=[0])
    return time.monotonic() - began, time.process_time() - processor


def stand_in() -> StandIn:
    """The model that does nothing."""
    return StandIn("stand-in/1", Path("none"), None, SamplerSettings())


def once(folder: Path, pictures: int, px: int, workers: int, ahead: int) -> dict[str, float]:
    """One batch with the stand-in: what it took, and what this process held at most."""
    began = time.monotonic()
    made: Restoration = restore([str(folder / "in")], batch_of(folder, stand_in(), workers=workers, ahead=ahead))
    assert made.restored == pictures, made
    return {
        "pictures": pictures,
        "px": px,
        "workers": workers,
        "work_s": made.work_seconds,
        "start_s": made.start_seconds,
        "all_s": time.monotonic() - began,
        "parent_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def apart(pictures: int, px: int, workers: int, ahead: int) -> dict[str, float]:
    """The same in a process of its own, over pictures made before."""
    with tempfile.TemporaryDirectory() as name:
        make_pictures(Path(name) / "in", pictures, px)
        words = ["once", "--folder", name, "--pictures", str(pictures), "--px", str(px)]
        words += ["--workers", str(workers), "--ahead", str(ahead)]
        said = subprocess.run(
            [sys.executable, "-m", "benchmarks.restore_batch", *words], check=True, capture_output=True, text=True
        )
        found: dict[str, float] = json.loads(said.stdout.splitlines()[-1])
        return found


def memory(counts: Sequence[int], workers: int) -> None:
    """Print the parent's peak for growing batches."""
    for count in counts:
        found = apart(count, 16, workers, ahead=2)
        print(
            f"{count:6d} pictures, {workers} workers: parent's peak {found['parent_peak_mib']:.0f} MiB ({found['all_s']:.0f} s)"
        )


def scaling(pictures: int, px: int) -> None:
    """Print one and two workers, each measured three times in turn."""
    rounds = [[apart(pictures, px, workers, ahead=0) for workers in (1, 2)] for _ in range(3)]
    for workers in (0, 1):
        walls = ", ".join(f"{pair[workers]['work_s']:.1f}" for pair in rounds)
        print(f"{workers + 1} worker(s), {pictures} pictures of {px}x{px}: {walls} s wall")
    print("two over one: " + ", ".join(f"{pair[0]['work_s'] / pair[1]['work_s']:.2f}" for pair in rounds))


def main() -> None:
    """Run one section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", choices=("overhead", "memory", "scaling", "once"))
    parser.add_argument("--pictures", type=int, nargs="+")
    parser.add_argument("--px", type=int)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ahead", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.section == "once":
        print(json.dumps(once(given.folder, given.pictures[0], given.px, given.workers, given.ahead)))
    elif given.section == "memory":
        memory(given.pictures or (100, 1000, 10_000), given.workers)
    elif given.section == "scaling":
        scaling((given.pictures or [400])[0], given.px or 512)
    else:
        with tempfile.TemporaryDirectory() as name:
            overhead(Path(name), (given.pictures or [1000])[0], given.px or 256)


if __name__ == "__main__":
    main()
