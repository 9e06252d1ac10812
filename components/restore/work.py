"""A worker: one model, shards until none is left; reading, restoring and writing overlap within a shard.

After a death over a shard its pictures are taken one by one, each announced first, so that one which kills its process
again and again is known, gets a reason, and the others are restored.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from components.backends import manifest
from components.backends.jobs import Jobs, Lease
from components.backends.storage import Storage, open_storage
from components.errors import DecodeError, RegistryError
from components.restore.inputs import Input
from components.restore.model import Model
from components.restore.owner import gone, myself
from components.restore.picture import STATISTICS, Desk, Drawn, Loaded, draw, judged, load, save
from components.restore.plan import ahead
from components.restore.results import Results, Row
from components.restore.settings import RestoreSettings

if TYPE_CHECKING:
    from components.imaging.restorer import Restorer

DEADLY = 2
"""Workers that may die at one picture before it counts as deadly; one alone may have been killed from outside."""
BEATS = 3
"""Renewals of a lease in the time that it lasts."""


@dataclass(frozen=True)
class Work:
    """What a worker needs to know; picklable."""

    state: str = field(repr=False)
    """URL of the state database."""
    job: str
    model: Model
    settings: RestoreSettings
    objects: str
    """Root of the object store, for plans and rows."""
    output: str
    force: bool = False
    cache: Path | None = None
    weights: Path | None = None
    number: int = 0
    """Of the worker; the GPUs are given out in turn."""


class Served(NamedTuple):
    """When a worker began, later by the time that loading its model took, and when it was done; seconds since 1970."""

    ready: float
    ended: float


class Loading:
    """The model, loaded when the first picture needs it: looking through results that are there needs none."""

    def __init__(self, load: Callable[[], Restorer]) -> None:
        """Remember how to load it."""
        self.load, self.seconds = load, 0.0
        self._loaded: Restorer | None = None

    def __call__(self) -> Restorer:
        """Give the model."""
        if self._loaded is None:
            began = time.monotonic()
            self._loaded = self.load()
            self.seconds = time.monotonic() - began
        return self._loaded


def serve_alone(work: Work) -> Served:
    """Take shards with a model of its own; for a process of its own."""
    return serve(work, lambda: work.model.load(device=_device(work.number), batch=work.settings.batch))


def _device(number: int) -> str:
    import torch

    gpus = torch.cuda.device_count()
    return f"cuda:{number % gpus}" if gpus else "auto"


def serve(work: Work, load: Callable[[], Restorer], done: Callable[[int], None] = lambda _: None) -> Served:
    """Take shards until none is to be had.

    Args:
        work: the job and where things are.
        load: gives the model; called once, when it is needed.
        done: called with 1 after each picture.

    Raises:
        StorageError: the output or the object store cannot be written; the shard is given back.
    """
    began, loading = time.time(), Loading(lambda: work.model.prove(load()))
    jobs, objects = Jobs(work.state), open_storage(work.objects, cache=work.cache)
    results = Results(open_storage(work.output), work.force)
    desk = Desk(
        work.model.name, work.model.identity, work.settings, results, cache(open_storage), objects, work.job, work.weights
    )
    while (lease := _next(jobs, work)) is not None:
        with Held(jobs, lease, work.settings.lease_s) as held:
            rows = []
            for row in _shard(desk, loading, held, _planned(objects, lease)):
                rows.append(row)
                done(1)
            if len(rows) == lease.items and not held.lost:
                key = f"parts/restore/rows/{lease.job[:16]}/{lease.number:06}-{lease.fence}.parquet"
                _sample(rows, objects, sample_of(key), work.settings)
                jobs.commit(lease, manifest.write_part(objects, key, "restored", rows))
    return Served(began + loading.seconds, time.time())


def sample_of(key: str) -> str:
    """Where the drift watch's sample of a shard lies, beside the rows of the shard."""
    return key.replace("/rows/", "/drift/").replace(".parquet", ".json")


def _sample(rows: list[Row], objects: Storage, key: str, settings: RestoreSettings) -> None:
    """Keep a sample of what was measured while restoring; what was found there already is not measured again."""
    from components.restore import drift

    measured = [(row["id"], found) for row in rows if (found := row.pop(STATISTICS, None))]
    objects.put(key, drift.sample(measured, settings.drift.sample).pack())


def _next(jobs: Jobs, work: Work) -> Lease | None:
    """The next shard, those of workers that have died here included."""
    jobs.reclaim(work.job, gone)
    return jobs.take(work.job, myself(), work.settings.lease_s)


def _planned(objects: Storage, lease: Lease) -> list[tuple[int, Input, str]]:
    """(place in the shard, input, name of the result) of each picture."""
    rows = manifest.read_part(objects, lease.plan)
    return [(place, Input(**{name: row[name] for name in Input._fields}), row["output"]) for place, row in enumerate(rows)]


class Held:
    """A lease that is renewed by a thread while its shard is worked on; whatever is raised inside gives the shard back."""

    def __init__(self, jobs: Jobs, lease: Lease, lease_s: float) -> None:
        """Remember what to renew."""
        self.jobs, self.lease, self.lease_s = jobs, lease, lease_s
        self.lost = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        """Begin to renew."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop renewing."""
        self._over.set()
        self._thread.join()
        if kind is not None:
            with suppress(RegistryError):
                self.jobs.release(self.lease)

    def _beat(self) -> None:
        while not self._over.wait(self.lease_s / BEATS):
            with suppress(RegistryError):  # a database that is away for a moment costs nothing
                if not self.jobs.renew(self.lease, self.lease_s):
                    self.lost = True
                    return


def _shard(desk: Desk, loading: Loading, held: Held, planned: list[tuple[int, Input, str]]) -> Iterator[Row]:
    """Rows of a shard, in order; ends early when the shard is another worker's by now."""
    careful = held.lease.deaths > 0
    window = 0 if careful else desk.settings.ahead
    if careful:
        loading()  # a death while loading is no picture's fault
    with ThreadPoolExecutor(max(1, window)) as readers, ThreadPoolExecutor(1) as writers:

        def read(one: tuple[int, Input, str]) -> Loaded:
            place, item, output = one
            if not careful:
                return load(item, output, desk)
            if held.lease.suspects.get(place, 0) >= DEADLY:
                return Loaded(item, output, reason="worker_died")
            held.lost = held.lost or not held.jobs.stand(held.lease, place)
            return load(item, output, desk)

        loaded = ahead(readers, read, _while_held(planned, held), window)
        made = _restored(desk, loading, loaded)
        yield from ahead(
            writers, lambda one: save(one.loaded, one.drawn, desk, reason=one.reason, seconds=one.seconds), made, window
        )


def _while_held(planned: Iterable[tuple[int, Input, str]], held: Held) -> Iterator[tuple[int, Input, str]]:
    for one in planned:
        if held.lost:
            return
        yield one


class _Made(NamedTuple):
    """A picture after the network."""

    loaded: Loaded
    drawn: Drawn | None = None
    reason: str = ""
    seconds: float = 0.0


def _restored(desk: Desk, loading: Loading, loaded: Iterable[Loaded]) -> Iterator[_Made]:
    """Restore what is to be restored, neighbours of one size together where settings ask for it."""
    group: list[Loaded] = []
    for one in loaded:
        if group and (one.source is None or len(group) == desk.settings.batch or _size(one) != _size(group[0])):
            yield from _group(desk, loading(), group)
            group = []
        if one.source is None:
            yield _Made(one)
        else:
            group.append(one)
        if len(group) == desk.settings.batch:
            yield from _group(desk, loading(), group)
            group = []
    if group:
        yield from _group(desk, loading(), group)


def _size(loaded: Loaded) -> tuple[int, ...]:
    return () if loaded.source is None else loaded.source.image_01.shape


def _group(desk: Desk, restorer: Restorer, group: list[Loaded]) -> Iterator[_Made]:
    began, settings = time.monotonic(), desk.settings
    sources = [one.source for one in group if one.source is not None]
    try:
        drawn = draw(restorer, sources, [settings.seed] * len(group), settings.smallest_tile_px)
        kept = [judged(restorer, *pair, settings) for pair in zip(drawn, sources, strict=True)]
    except DecodeError as error:
        yield from (_Made(one, reason=error.reason) for one in group)
        return
    seconds = (time.monotonic() - began) / len(group)
    yield from (_Made(*pair, seconds=seconds) for pair in zip(group, kept, strict=True))
