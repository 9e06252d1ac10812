"""Validation between updates: held-out pictures, restored with the weights as they are, on the first process.

The training does not notice: weights are looked at in place and never written, and no random state is used. Means are
over few pictures: the interval says how little they tell.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor

from components.backends.report import contact_sheet
from components.backends.storage import open_storage
from components.errors import WeightsError
from components.imaging import codec, held_out, iqa
from components.imaging.benchmarks import degraded, noise_seed
from components.imaging.restorer import Restorer
from components.imaging.sampler import SamplerSettings
from components.train import best
from components.train.events import Emit
from components.train.job import Job
from components.train.judge import History, Score, Validated, best_of, name_of
from components.train.loop import Loop
from components.train.place import Place
from models.bundle import FrozenParts
from models.config import NetworkConfig
from models.lucidflux import Adapter
from models.memory import Placement

SEED = 0
"""Of degradations and noise: every validation of every run sees the same."""
SHOWN = 4
"""Pictures of each benchmark on the grid."""
FOLDER = "validation"


@dataclass(frozen=True)
class Picture:
    """One held-out picture under one benchmark, (H, W, 3) uint8 both."""

    image_id: str
    benchmark: str
    hq_u8: codec.Image
    lq_u8: codec.Image


class Mixed:
    """Stands in for a placement: network and image encoder in bfloat16 products, as in training; the rest in float32."""

    mode = "full"

    def __init__(self, device: str) -> None:
        self.device = device

    def using(self, part: str) -> AbstractContextManager[Any]:
        """See FrozenParts.using."""
        return torch.autocast(self.device, torch.bfloat16) if part in ("network", "encoder") else nullcontext()


class Validator:
    """Validates when it is time; called after every update on every process, and once before the first."""

    def __init__(self, job: Job, frozen: FrozenParts, network: NetworkConfig, *, place: Place, done: int, emit: Emit) -> None:
        """Read the pictures and degrade them, on the first process.

        Args:
            job: settings, and where the held-out pictures are.
            frozen: the parts that training uses.
            network: sizes of the adapter.
            place: this process.
            done: updates done.
            emit: takes events.

        Raises:
            SourceError: there is no held-out picture.
        """
        self.job, self.settings, self.network, self.place, self.emit = job, job.settings, network, place, emit
        on_gpu = job.settings.precision == "bf16" and frozen.device.type == "cuda"
        self.frozen = replace(frozen, placement=cast("Placement", Mixed("cuda"))) if on_gpu else frozen
        self.history = History(job.path, job.settings, done=done)
        self.pictures: list[Picture] = []
        if job.settings.validate_every_steps:
            assert job.validation is not None
            self.plan = job.validation
            self.pictures = pictures_of(job) if place.first else []

    def __call__(self, loop: Loop[Any]) -> bool:
        """Validate if it is time; gives on every process whether the run ends early."""
        every = self.settings.validate_every_steps
        if not every:
            return False
        last = loop.step == self.settings.steps
        if loop.step and (loop.step % every == 0 or last):
            todo = 0 if self.history.has(loop.step) else len(self.pictures)
            count = _from_first(self.place, todo)
            if count and self.place.first:
                self._validate(loop)
            elif count:
                # picture by picture, so that no wait is longer than what gives up waiting
                for _ in range(count):
                    self.place.barrier()
        return bool(_from_first(self.place, int(self.history.exhausted and not last)))

    def _validate(self, loop: Loop[Any]) -> None:
        started = time.monotonic()
        adapter = snapshot(self.network, loop.average or loop.weights)
        restorer = Restorer.holding(self.frozen, adapter, as_in_training(self.plan.sampler))
        values: dict[str, list[float]] = defaultdict(list)
        restored: list[codec.Image] = []
        for number, picture in enumerate(self.pictures):
            restored.append(self._restore(restorer, picture, loop.step))
            for metric in self.settings.validation_metrics:
                value = self._score(metric, restored[-1], picture.hq_u8)
                if math.isfinite(value):
                    values[name_of(picture.benchmark, metric)].append(value)
            self.emit("phase", phase="validation", done=number + 1, total=len(self.pictures))
            self.place.barrier()
        scores = {name: _score_of(numbers) for name, numbers in values.items()}
        validated = Validated(step=loop.step, scores=scores)
        better = self._keep(validated, adapter)
        self.emit(
            "validation",
            step=loop.step,
            scores={name: score.model_dump() for name, score in scores.items()},
            grid=str(self._draw(restored, loop.step)),
            best=better,
            seconds=time.monotonic() - started,
        )

    def _restore(self, restorer: Restorer, picture: Picture, step: int) -> codec.Image:
        try:
            return restorer.restore([picture.lq_u8], seeds=[noise_seed(picture.image_id, SEED)])[0].restored_u8
        except WeightsError as error:
            # weights that diverge are the training's matter; black pictures score what they are worth
            self.emit("note", text=f"validation at step {step}: {str(error).partition(' Weights:')[0]}")
            return picture.lq_u8 * 0

    def _score(self, metric: str, restored_u8: codec.Image, hq_u8: codec.Image) -> float:
        references = [hq_u8] if iqa.info(metric).needs_reference else None
        weights = Path(self.plan.weights) if self.plan.weights else None
        return iqa.score(metric, [restored_u8], references, weights=weights)[0]

    def _keep(self, validated: Validated, adapter: Adapter) -> bool:
        """Remember a validation; weights that are kept are written first, so that none is remembered without."""
        better = best_of([*self.history.validated, validated], self.settings.best_metric) is validated
        if better and self.settings.keep_best:
            best.save(self.job.path, adapter, validated.step)
        self.history.add(validated)
        if better and self.settings.keep_best:
            best.drop_old(self.job.path)
        return better

    def _draw(self, restored: list[codec.Image], step: int) -> Path:
        """Write the grid of the first pictures of each benchmark: LQ, restored, HQ."""
        shown: dict[str, int] = defaultdict(int)
        rows = []
        for picture, image_u8 in zip(self.pictures, restored, strict=True):
            shown[picture.benchmark] += 1
            if shown[picture.benchmark] <= SHOWN:
                rows.append([picture.lq_u8, image_u8, picture.hq_u8])
        path = self.job.path / FOLDER / f"step-{step:08d}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(codec.encode_png(contact_sheet(rows, ["LQ", f"restored, step {step}", "HQ"])))
        return path


def pictures_of(job: Job) -> list[Picture]:
    """The held-out pictures of a run under each of its benchmarks.

    Raises:
        SourceError: there is none.
    """
    assert job.validation is not None
    settings, store = job.settings, open_storage(job.objects, cache=job.path / "objects")
    found = held_out.find(store, job.validation.held_out, settings.validation_images, last=True)
    loaded = [(image.id, held_out.load(store, image, settings.validation_crop_px)) for image in found]
    return [
        Picture(image_id, benchmark, *degraded(benchmark, image_id, image_u8, seed=SEED))
        for benchmark in settings.validation_benchmarks
        for image_id, image_u8 in loaded
    ]


def snapshot(network: NetworkConfig, weights: Mapping[str, Tensor]) -> Adapter:
    """An adapter over weights that stay where they are: no copy, no gradient, in evaluation mode.

    Args:
        network: sizes.
        weights: parameter name -> its values now.
    """
    with torch.device("meta"):
        adapter = Adapter(network)
    adapter.load_state_dict({name: weight.detach() for name, weight in weights.items()}, assign=True)
    adapter.eval().requires_grad_(requires_grad=False)
    return adapter


def as_in_training(sampler: SamplerSettings) -> SamplerSettings:
    """The sampler over the unmodified blocks, all in place: no second copy of weights, no compiling."""
    plain = SamplerSettings()
    ways = {name: getattr(plain, name) for name in ("fused", "attention", "compiled", "memory")}
    return sampler.model_copy(update={**ways, "mode": "plain"})


def _score_of(values: list[float]) -> Score:
    lower, upper = iqa.bootstrap(values)
    return Score(mean=math.fsum(values) / len(values), lower=lower, upper=upper, n=len(values))


def _from_first(place: Place, value: int) -> int:
    """What the first process says."""
    if place.processes == 1:
        return value
    said = torch.tensor([value], device=place.device)
    dist.broadcast(said, 0)
    return int(said.item())
