"""What is measured on a benchmark: a model, under one or several numbers of steps, or pictures that something else made."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from components.backends.storage import LocalStorage
from components.errors import DecodeError, SourceError
from components.evaluate.benchmarks.layout import Benchmark, Pair, pictures
from components.imaging import codec
from components.imaging.benchmarks import noise_seed
from components.imaging.restorer import Restorer
from components.imaging.scaling import to_size
from components.records import Progress, content_hash

LQ = "lq"
LRP = "lrp"
RESTORED = "restored"


@dataclass(frozen=True)
class Made:
    """What became of one picture."""

    files: Mapping[str, Path]
    """Method -> picture."""
    seconds: Mapping[str, float]
    """Method -> what it took; only of what was made here."""
    truth: Path | None = None
    """HQ at the evaluated size; None where there is none, or a smaller one."""
    missing: str = ""
    """Why there is none."""


class Contender(Protocol):
    """Somebody who restores a benchmark."""

    @property
    def label(self) -> str:
        """For tables."""

    @property
    def identity(self) -> str:
        """Hash of everything that decides its pictures."""

    @property
    def method(self) -> str:
        """Row that stands for it in comparisons."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Every row that it adds."""

    @property
    def parameters(self) -> dict[str, int]:
        """Part -> number of parameters, where they are known."""

    def make(self, pair: Pair, lq_u8: codec.Image, work: LocalStorage) -> Made:
        """Give its pictures of one LQ, making those that are not there."""


@dataclass(frozen=True)
class Model:
    """A model of ours."""

    label: str
    restorer: Restorer
    seed: int
    steps: tuple[int, ...] = ()
    """Further numbers of steps to measure, beside the sampler's own (paper section A.8)."""

    @property
    def identity(self) -> str:
        """Weights, sampler and seed; pictures of further numbers of steps lie beside the others under names of their own."""
        return content_hash(self.restorer.identity, self.seed)

    @property
    def method(self) -> str:
        """The model under its own sampler."""
        return RESTORED

    @property
    def parameters(self) -> dict[str, int]:
        """Of the frozen parts and the adapter."""
        return self.restorer.parameters

    @property
    def methods(self) -> tuple[str, ...]:
        """The light restorer, the model, and the model under other numbers of steps."""
        return (LRP, RESTORED, *(steps_method(number) for number in self.steps))

    def make(self, pair: Pair, lq_u8: codec.Image, work: LocalStorage) -> Made:
        """Restore; what an earlier run finished is found again."""
        for method in self.methods:
            if method == LRP or work.exists(f"{pair.name}/{method}.json"):
                continue
            began = time.monotonic()
            result = self._restorer(method).restore([lq_u8], seeds=[noise_seed(pair.name, self.seed)])[0]
            seconds = time.monotonic() - began
            work.put(f"{pair.name}/{method}.png", codec.encode_png(result.restored_u8))
            if method == RESTORED:
                work.put(f"{pair.name}/{LRP}.png", codec.encode_png(result.lrp_u8))
            work.put(f"{pair.name}/{method}.json", json.dumps(seconds).encode())
        timed = {name: float(json.loads(work.read(f"{pair.name}/{name}.json"))) for name in self.methods if name != LRP}
        return Made({name: work.fetch(f"{pair.name}/{name}.png") for name in self.methods}, timed)

    def _restorer(self, method: str) -> Restorer:
        if method == RESTORED:
            return self.restorer
        steps = next(number for number in self.steps if steps_method(number) == method)
        return self.restorer.with_sampler(self.restorer.sampler.model_copy(update={"steps": steps}))


@dataclass(frozen=True)
class Outputs:
    """Pictures in a folder, named as the LQ pictures are."""

    label: str
    files: Mapping[str, Path]
    digest: str

    @classmethod
    def of(cls, folder: Path, label: str) -> Outputs:
        """Look into a folder.

        Raises:
            SourceError: there is none, or no picture in it.
        """
        if not folder.is_dir():
            raise SourceError(f"Expected a folder of pictures for --outputs, there is none at {folder}.")
        found = pictures(folder)
        if not found:
            raise SourceError(f"Expected pictures in {folder}, named as the LQ pictures are; found none.")
        label = label or folder.resolve().name
        if label in {LQ, LRP} or "/" in label:
            raise SourceError(f"Expected another name than '{label}' for these pictures; give one with --label.")
        stamps = [[name, path.stat().st_size, path.stat().st_mtime_ns] for name, path in found.items()]
        return cls(label, found, content_hash(stamps))

    @property
    def identity(self) -> str:
        """Label, names, sizes and times of the files."""
        return content_hash(self.label, self.digest)

    @property
    def method(self) -> str:
        """Its label."""
        return self.label

    @property
    def parameters(self) -> dict[str, int]:
        """Nothing is known of it."""
        return {}

    @property
    def methods(self) -> tuple[str, ...]:
        """Its label."""
        return (self.label,)

    def make(self, pair: Pair, lq_u8: codec.Image, work: LocalStorage) -> Made:
        """Find the picture, or say that it is not there or of another size."""
        del work
        path = self.files.get(pair.name)
        if path is None:
            return Made({}, {}, missing="missing")
        try:
            found = codec.decode(path.read_bytes(), limits=codec.STORED).image_u8.shape[:2]
        except (DecodeError, OSError) as error:
            return Made({}, {}, missing=f"no picture: {error}")
        if found != lq_u8.shape[:2]:
            wanted = lq_u8.shape
            return Made({}, {}, missing=f"expected {wanted[1]}x{wanted[0]} px, got {found[1]}x{found[0]}")
        return Made({self.label: path}, {})


def steps_method(number: int) -> str:
    """Name of the row of a number of steps."""
    return f"{RESTORED}, {number} {'step' if number == 1 else 'steps'}"


def evaluated_px(pair: Pair, lq_px: tuple[int, int], side_px: int | None) -> tuple[int, int]:
    """Height and width at which a picture is evaluated.

    Args:
        pair: of the benchmark.
        lq_px: height and width of its LQ.
        side_px: the benchmark's longer side; None is HQ's size, without HQ that of LQ.
    """
    if side_px:
        scale = side_px / max(lq_px)
        return round(lq_px[0] * scale), round(lq_px[1] * scale)
    return codec.size_px(pair.hq.read_bytes()) if pair.hq else lq_px


def make_all(
    benchmark: Benchmark, contender: Contender, side_px: int | None, *, work: LocalStorage, progress: Progress
) -> dict[str, Made]:
    """Every picture's LQ at the evaluated size, and what the contender makes of it; resumes.

    Args:
        benchmark: what is restored.
        contender: who restores.
        side_px: of evaluated pictures.
        work: finished pictures are found here again.
        progress: called after each picture.
    """
    made: dict[str, Made] = {}
    shared, truths, own = (LocalStorage(Path(work.root) / name) for name in (LQ, "hq", contender.identity[:16]))
    for number, pair in enumerate(benchmark.pairs, start=1):
        source_u8 = codec.decode(pair.lq.read_bytes(), limits=codec.STORED).image_u8
        lq_u8 = to_size(source_u8, *evaluated_px(pair, source_u8.shape[:2], side_px))
        if not shared.exists(f"{pair.name}.png"):
            shared.put(f"{pair.name}.png", codec.encode_png(lq_u8))
        one = contender.make(pair, lq_u8, own)
        files = {LQ: shared.fetch(f"{pair.name}.png"), **one.files}
        made[pair.name] = replace(one, files=files, truth=_truth(pair, lq_u8.shape[:2], truths))
        progress("restore", number, len(benchmark.pairs))
    return made


def _truth(pair: Pair, size_px: tuple[int, ...], truths: LocalStorage) -> Path | None:
    """HQ, shrunk by area means to the evaluated size where it is larger; what is smaller proves nothing."""
    if pair.hq is None:
        return None
    data = pair.hq.read_bytes()
    height, width = codec.size_px(data)
    if (height, width) == size_px:
        return pair.hq
    if height < size_px[0]:
        return None
    if not truths.exists(f"{pair.name}.png"):
        image_u8 = codec.decode(data, limits=codec.STORED).image_u8
        truths.put(f"{pair.name}.png", codec.encode_png(to_size(image_u8, size_px[0], size_px[1])))
    return truths.fetch(f"{pair.name}.png")
