"""One picture: read and looked up, restored, judged, written. Reading and writing are done by other threads than restoring."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from components.backends.storage import Storage
from components.errors import DecodeError, StorageError, WeightsError
from components.imaging import codec
from components.records import content_hash
from components.restore.inputs import Input, read_input
from components.restore.plan import SUFFIX
from components.restore.results import Results, Row, Standing
from components.restore.settings import RestoreSettings

if TYPE_CHECKING:
    from components.imaging.restorer import Restorer
    from components.restore.quality import Judged

Image01 = npt.NDArray[np.float32]

FORM = "3"
"""What results carry; part of what names one, so that those of an older form are made again."""


STATISTICS = "statistics"
"""Of a row on its way to the sample of its shard; no column."""


@dataclass(frozen=True)
class Desk:
    """What every picture of a batch needs beside the network."""

    model: str
    identity: str
    """Of the loaded model: part of what names a result."""
    settings: RestoreSettings
    results: Results
    open_root: Callable[[str], Storage]
    """Gives the store at an input's root."""
    objects: Storage
    """Receives what the page of flagged results shows."""
    job: str
    weights: Path | None = None
    """Weights folder, for metrics."""

    def key(self, image_id: str) -> str:
        """Name a result by the bytes of its input, the model and the settings that decide it."""
        return content_hash(FORM, image_id, self.identity, self.settings.deciding())


@dataclass(frozen=True)
class Loaded:
    """A picture that was read: to be restored, found, or with a reason."""

    item: Input
    output: str
    image_id: str = ""
    reason: str = ""
    source: codec.Source | None = field(default=None, repr=False)
    data: bytes = field(default=b"", repr=False)
    """The file, where it is to be restored."""
    standing: Standing = field(default_factory=Standing, repr=False)
    seconds: float = 0.0


@dataclass(frozen=True)
class Drawn:
    """A restored picture in memory, and how it was made."""

    image_01: Image01 = field(repr=False)
    lrp_01: Image01 = field(repr=False)
    """What the light restorer alone makes."""
    seed: int
    fidelity: float
    tile_px: int
    codec_tile_px: int
    flags: tuple[str, ...] = ()
    """Checks that it does not pass, the worst first; empty for no doubt."""
    verdict: Judged | None = field(default=None, repr=False)
    """What inspection says; None where nothing was inspected."""


def load(item: Input, output: str, desk: Desk) -> Loaded:
    """Read and decode a picture, unless its result is there already or cannot be written."""
    began = time.monotonic()
    loaded = Loaded(item, output)
    try:
        data = read_input(item, desk.open_root(item.root))
    except StorageError:
        return replace(loaded, reason="unreadable")
    loaded = replace(loaded, image_id=hashlib.sha256(data).hexdigest())
    try:
        codec.identify(data)
        standing = desk.results.look(output, desk.key(loaded.image_id))
        if standing.found is not None:
            return replace(loaded, standing=standing)
        source = codec.source(data)
        codec.check_size(source, kind_of(output))
    except DecodeError as error:
        return replace(loaded, reason=error.reason)
    except ValueError:
        return replace(loaded, reason="not_encodable")
    if standing.taken:
        return replace(loaded, reason="output_exists")
    return replace(loaded, source=source, data=data, standing=standing, seconds=time.monotonic() - began)


def kind_of(output: str) -> str:
    """Format of a result by its name, which was given by its format."""
    return next(kind for kind, suffix in SUFFIX.items() if output.endswith(suffix))


def draw(restorer: Restorer, sources: Sequence[codec.Source], seeds: Sequence[int], smallest_px: int) -> list[Drawn]:
    """Restore pictures of one size.

    Raises:
        DecodeError: memory ran out with the smallest tiles too.
    """
    from components.restore.tiles import restore_within

    made, sampler = restore_within(restorer, [source.image_01 for source in sources], seeds, smallest_px)
    return [
        Drawn(image_01, lrp_01, seed, sampler.fidelity, sampler.tile_px, sampler.codec_tile_px)
        for (lrp_01, image_01), seed in zip(made, seeds, strict=True)
    ]


def judged(restorer: Restorer, first: Drawn, source: codec.Source, settings: RestoreSettings) -> Drawn:
    """Inspect a result beside its source, make a refused one again as `quality` plans it, and give the best."""
    from components.restore import quality

    if not settings.quality.inspect.checks:
        return first
    made = {(first.seed, first.fidelity): first}

    def once(seed: int, fidelity: float) -> Image01:
        other = restorer.with_sampler(restorer.sampler.model_copy(update={"fidelity": fidelity}))
        try:
            (one,) = draw(other, [source], [seed], settings.smallest_tile_px)
        except DecodeError as error:  # memory was enough for the first; what is there stays
            raise WeightsError(str(error)) from error
        made[seed, fidelity] = one
        return one.image_01

    began_with = quality.Attempt(seed=first.seed, fidelity=first.fidelity)
    found = quality.judged(once, source.image_01, settings.quality, began_with, lrp=first.lrp_01, made=first.image_01)
    kept = made[found.attempt.seed, found.attempt.fidelity]
    return replace(kept, flags=tuple(one.check for one in found.findings.failed), verdict=found)


def save(loaded: Loaded, drawn: Drawn | None, desk: Desk, *, reason: str = "", seconds: float = 0.0) -> Row:
    """Write a result and say what became of its input.

    Args:
        loaded: as it was read.
        drawn: the restored picture; None where there is none.
        desk: settings and the output.
        reason: why it could not be restored.
        seconds: time that restoring took.
    """
    began = time.monotonic()
    settings = desk.settings
    row: Row = {
        "origin": loaded.item.origin,
        "input": loaded.item.name,
        "id": loaded.image_id,
        "model": desk.model,
        "settings": content_hash(settings.deciding()),
        "seed": settings.seed,
        "verdict": "failed",
        "reason": loaded.reason or reason,
        "reused": False,
        "review": False,
        "flags": "",
        "seconds": seconds,
    }
    if loaded.standing.found is not None:
        facts, data = loaded.standing.found, loaded.standing.data
        return _kept(row | facts | {"reused": True}, data, settings, desk)
    if drawn is None or loaded.source is None:
        return row
    kind = kind_of(loaded.output)
    packet = codec.marked(loaded.source.xmp) if settings.marker else loaded.source.xmp
    encoded = codec.embed(codec.render(drawn.image_01, loaded.source, kind), packet)
    height_px, width_px = drawn.image_01.shape[:2]
    facts = {
        "output": loaded.output,
        "output_sha256": hashlib.sha256(encoded).hexdigest(),
        "width_px": width_px,
        "height_px": height_px,
        "seed": drawn.seed,
        "fidelity": drawn.fidelity,
        "tile_px": drawn.tile_px,
        "codec_tile_px": drawn.codec_tile_px,
        "flags": " ".join(drawn.flags),
    }
    facts["seconds"] = round(loaded.seconds + seconds + time.monotonic() - began, 4)
    _show(loaded, drawn, desk)  # first: a result that is found again is not inspected again
    if not desk.results.keep(loaded.output, desk.key(loaded.image_id), encoded, facts, loaded.standing):
        return row | {"reason": "output_exists"}
    return _kept(row | facts | {STATISTICS: _measured(loaded, drawn, settings)}, encoded, settings, desk)


def _show(loaded: Loaded, drawn: Drawn, desk: Desk) -> None:
    """Put a flagged picture where the review page finds it."""
    if drawn.verdict is None or not drawn.verdict.flagged or loaded.source is None:
        return
    from components.restore import review_page

    entry = review_page.reviewed(
        drawn.verdict, loaded.source.image_01, image_id=loaded.image_id, origin=loaded.item.origin, model=desk.model
    )
    review_page.keep(desk.objects, desk.job, entry)


def _measured(loaded: Loaded, drawn: Drawn, settings: RestoreSettings) -> dict[str, float]:
    """Statistics for the drift watch, before and after."""
    if loaded.source is None or not settings.drift.statistics:
        return {}
    from components.restore import drift

    return drift.measure(loaded.source.image_01, drawn.image_01, loaded.data, settings.drift.statistics)


def _kept(row: Row, data: bytes, settings: RestoreSettings, desk: Desk) -> Row:
    review = settings.review == "all" or (settings.review == "flagged" and bool(row["flags"]))
    scores = json.dumps(_scores(data, desk), sort_keys=True) if settings.scores else ""
    return row | {"verdict": "kept", "reason": "", "review": review, "scores": scores}


def _scores(data: bytes, desk: Desk) -> dict[str, float]:
    """Metrics of the file as it was written."""
    from components.imaging import iqa

    image_u8 = codec.decode(data, limits=codec.STORED).image_u8
    return {name: iqa.score(name, [image_u8], weights=desk.weights)[0] for name in desk.settings.scores}
