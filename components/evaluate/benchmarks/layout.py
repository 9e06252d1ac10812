"""Open a benchmark: which pictures it holds, which HQ belongs to which LQ, and whether it is what its name says."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.errors import DecodeError, SourceError
from components.evaluate.benchmarks.table import BENCHMARKS, BenchmarkInfo
from components.imaging import codec
from components.records import content_hash

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
BUILT = "benchmark.json"
"""What `build` leaves beside the pictures: how each was cut."""
LQ_FOLDERS = ("lq", "test_LR", "LR")
HQ_FOLDERS = ("hq", "test_HR", "HR", "gt")
SHOWN = 5
_SCALE = re.compile(r"[_-]?(?:LR\d*|HR|LQ|HQ|GT|x\d+[a-z]?\d*)$", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """One picture of a benchmark."""

    name: str
    """File name without suffix and scale; unique."""
    lq: Path
    hq: Path | None
    group: str = ""
    """Which of a benchmark's degradations made it."""


@dataclass(frozen=True)
class Benchmark:
    """A benchmark that is there."""

    name: str
    """Key of BENCHMARKS, or the name of the folder."""
    folder: Path
    pairs: tuple[Pair, ...]
    info: BenchmarkInfo | None
    """None for one's own."""
    digest: str
    """Hash of the names and bytes of all pictures: scores of one digest can be compared."""

    @property
    def title(self) -> str:
        """For tables."""
        return self.info.title if self.info else self.name

    @property
    def side_px(self) -> int | None:
        """Side at which pictures are evaluated; None leaves HQ's size, or LQ's own where there is no HQ."""
        return self.info.side_px if self.info else None


def open_benchmark(wanted: str, folders: Path) -> Benchmark:
    """Find and check a benchmark.

    Args:
        wanted: a name of BENCHMARKS, which lies in `folders/NAME`; `NAME=DIR`; or a folder of one's own with `lq` and perhaps
            `hq`, or with LQ pictures alone.
        folders: where benchmarks lie.

    Raises:
        SourceError: it is not there, pictures do not belong together, or it is not what its name promises.
    """
    name, equals, place = wanted.partition("=")
    known = BENCHMARKS.get(name)
    folder = folders / name if known and not equals else Path(place if known else wanted).expanduser()
    if not folder.is_dir():
        raise SourceError(f"There is no folder {folder}. {_how_to_get(name, known)}")
    lq = _folder(folder, known.lq if known else LQ_FOLDERS)
    hq = _folder(folder, known.hq if known else HQ_FOLDERS)
    pairs = _matched(lq or folder, hq, _groups(folder))
    facts = {path: _Facts.of(path) for pair in pairs for path in (pair.lq, pair.hq) if path is not None}
    if known is not None:
        _expect(name, known, pairs, facts)
    for pair in pairs:
        _fit(pair, facts)
    digest = content_hash([[one.name, facts[one.lq].sha256, facts[one.hq].sha256 if one.hq else ""] for one in pairs])
    return Benchmark(name if known else folder.resolve().name, folder, tuple(pairs), known, digest)


def pictures(folder: Path) -> dict[str, Path]:
    """Pictures of a folder by name, without suffix and scale (`0801x4.png` is `0801`).

    Raises:
        SourceError: two share a name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        name = _SCALE.sub("", path.stem) or path.stem
        if name in found:
            raise SourceError(f"Expected one picture '{name}' in {folder}, found {found[name].name} and {path.name}. Keep one.")
        found[name] = path
    return found


def _folder(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _matched(lq: Path, hq: Path | None, groups: dict[str, str]) -> list[Pair]:
    inputs = pictures(lq)
    if not inputs:
        raise SourceError(f"Expected pictures ({', '.join(SUFFIXES)}) in {lq}, found none.")
    truths = pictures(hq) if hq else {}
    if hq:
        for left, right, where in (inputs, truths, hq), (truths, inputs, lq):
            if lost := [name for name in left if name not in right]:
                raise SourceError(f"Expected {where} to hold {_listed(lost)} too. Put them there, or take their partners away.")
    return [Pair(name, path, truths.get(name), groups.get(name, "")) for name, path in inputs.items()]


@dataclass(frozen=True)
class _Facts:
    sha256: str
    size_px: tuple[int, int]
    """Height and width."""

    @classmethod
    def of(cls, path: Path) -> _Facts:
        try:
            data = path.read_bytes()
            return cls(hashlib.sha256(data).hexdigest(), codec.size_px(data))
        except (DecodeError, OSError) as error:
            raise SourceError(f"Expected a picture, {path} is none: {error}. Take it away or replace it.") from error


def _expect(name: str, known: BenchmarkInfo, pairs: Sequence[Pair], facts: Mapping[Path, _Facts]) -> None:
    hint = "To measure what is there anyway, give the folder itself: then it is a benchmark of your own."
    if len(pairs) != known.count:
        raise SourceError(f"Expected {known.count} pictures for {name}, found {len(pairs)}. {_how_to_get(name, known)} {hint}")
    if known.hq and pairs[0].hq is None:
        raise SourceError(f"Expected a folder {' or '.join(known.hq)} for {name}, found none. {hint}")
    for side, wanted in (("lq", known.lq_px), ("hq", known.hq_px)):
        paths = [path for pair in pairs if (path := getattr(pair, side)) is not None]
        if wanted and (other := [path for path in paths if facts[path].size_px != (wanted, wanted)]):
            raise SourceError(
                f"Expected {side.upper()} of {wanted}x{wanted} px for {name}, {len(other)} of {len(paths)} are others: "
                f"{other[0].name} is {_written(facts[other[0]])}. {hint}"
            )


def _fit(pair: Pair, facts: Mapping[Path, _Facts]) -> None:
    """Refuse an HQ that is no enlargement of its LQ."""
    if pair.hq is None:
        return
    (height, width), (hq_height, hq_width) = facts[pair.lq].size_px, facts[pair.hq].size_px
    if abs(hq_height * width - hq_width * height) > max(hq_height, hq_width) or hq_height < height:
        raise SourceError(
            f"Expected {pair.hq.name} to show what {pair.lq.name} shows, at the same or a larger size; they have "
            f"{_written(facts[pair.hq])} and {_written(facts[pair.lq])}."
        )


def _written(facts: _Facts) -> str:
    return f"{facts.size_px[1]}x{facts.size_px[0]} px"


def _groups(folder: Path) -> dict[str, str]:
    try:
        cut = json.loads((folder / BUILT).read_text())
        return {one["name"]: one["degradation"] for one in cut["pictures"]}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{folder / BUILT} is damaged ({error}). Build the benchmark again.") from error


def _how_to_get(name: str, known: BenchmarkInfo | None) -> str:
    if known is None:
        return f"Known benchmarks: {', '.join(BENCHMARKS)}."
    if known.built:
        return f"Make it from your copy: lucidflux benchmark build {name} SOURCE (source: {known.source})."
    where = " and ".join(names[0] for names in (known.lq, known.hq) if names)
    return f"Put it there, with {where} inside ({known.source}), or give {name}=FOLDER."


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{rest}"
