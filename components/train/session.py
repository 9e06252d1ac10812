"""A whole training run as one process sees it: parts, batches, loop, guards, result."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from components.backends.storage import file_sha256
from components.errors import TrainError
from components.records import canonical_json
from components.train import checkpoint, guards
from components.train.batches import Batch, Batches, Objective
from components.train.checkpoint import State
from components.train.engine import BadLoss, Engine, PlainEngine
from components.train.events import Emit
from components.train.job import ADAPTER_FILE, BAD_BATCH_FILE, RESULT_FILE, Job, Result, write_text
from components.train.loop import Loop, ends
from components.train.place import Place, meet
from components.train.source import drop_data, open_batches
from models.bundle import FrozenParts, load_frozen
from models.config import NetworkConfig
from models.lucidflux import Adapter

SHOWN_IDS = 4


def train_here(job: Job, emit: Emit) -> None:
    """Run one process of a job to its end; the first one writes the adapter and the result.

    Args:
        job: what to train, from what, on what.
        emit: takes events.

    Raises:
        TrainError: a guard refused, or loss or gradient was not finite; names the pairs.
        ValueError: a frozen part is missing or damaged.
    """
    place = meet(job.settings)
    emit("phase", phase="frozen parts", done=0, total=1)
    frozen = load_frozen(Path(job.base), place.device)
    before = guards.frozen_hash(frozen.modules())
    torch.manual_seed(job.settings.seed)
    adapter = Adapter.from_backbone(_network(job, frozen), frozen, silent=job.settings.zero_control_start).train()
    start = guards.tensor_hashes(adapter.named_parameters())
    state = _resume(job, adapter, emit)
    done = state.step if state else 0
    batches = open_batches(job, frozen, place, done=done, emit=emit)
    loop = _loop(job, Objective(adapter, frozen, job.settings), batches, place=place, state=state, emit=emit)
    _advance(job, loop, place)
    guards.require_frozen(before, guards.frozen_hash(frozen.modules()))
    _require_training(loop, start, emit)
    if place.first:
        _finish(job, loop, adapter, resumed=done, emit=emit)
    place.barrier()


def _network(job: Job, frozen: FrozenParts) -> NetworkConfig:
    """The bundle's sizes with the job's kind of conditioner."""
    chosen = {name: getattr(job.settings, name) for name in ("variant", "branches", "modulation", "semantic")}
    return frozen.config.model_copy(update={"conditioner": frozen.config.conditioner.model_copy(update=chosen)})


def _require_training(loop: Loop[Batch], start: dict[str, str], emit: Emit) -> None:
    idle = {name.removeprefix("adapter.") for name in guards.without_gradient(loop.engine.optimizer_state())}
    still = guards.require_moved(start, guards.tensor_hashes(loop.weights.items()), idle, steps=loop.step)
    emit("note", text=f"{len(start) - len(still)} of {len(start)} trained tensors learned, no frozen one changed", still=still)


def _resume(job: Job, adapter: Adapter, emit: Emit) -> State | None:
    def refused(name: str, why: str) -> None:
        emit("note", text=f"the checkpoint {name} is passed over: {why}")

    state = checkpoint.newest(job.path / "checkpoints", job.identity, refused)
    if state is None:
        return None
    with torch.no_grad():
        for name, weight in adapter.named_parameters():
            weight.copy_(state.weights[name])
    emit("note", text=f"going on from step {state.step}", step=state.step)
    return state


def _loop(job: Job, objective: Objective, batches: Batches, *, place: Place, state: State | None, emit: Emit) -> Loop[Batch]:
    if state is None:
        size = objective.control_size(batches.make(range(job.settings.micro_batch_size)))
        emit("note", text=f"control at step 0 changes the velocity by {size['control_share']:.2%}", **size)
    engine = _engine(job, objective)
    if state is not None:
        engine.load_optimizer_state(state.optimizer)
    device = place.device
    return Loop(
        engine=engine,
        weights=dict(objective.adapter.named_parameters()),
        settings=job.settings,
        spread=place.spread(job.settings),
        make=batches.make,
        emit=emit,
        step=state.step if state else 0,
        losses=state.losses if state else [],
        average={name: mean.to(device) for name, mean in state.average.items()} if state and place.first else {},
    )


def _engine(job: Job, objective: Objective) -> Engine[Batch]:
    if job.settings.engine == "plain":
        return PlainEngine(objective, job.settings)
    from components.train.zero import ZeroEngine

    return ZeroEngine(objective, job.settings)


def _advance(job: Job, loop: Loop[Batch], place: Place) -> None:
    def save(state: State) -> None:
        started = time.monotonic()
        if place.first:
            path = checkpoint.write(job.path / "checkpoints", state, job.identity)
            loop.emit("checkpoint", step=state.step, name=path.name, seconds=time.monotonic() - started)
        place.barrier()

    try:
        loop.run(save)
    except BadLoss as error:
        bad = {"step": loop.step, "pairs": list(error.pairs), "reason": str(error)}
        write_text(job.path / BAD_BATCH_FILE, canonical_json(bad))
        shown = ", ".join(pair[:12] for pair in error.pairs[:SHOWN_IDS])
        raise TrainError(
            f"{error} at step {loop.step + 1} for {len(error.pairs)} pairs ({shown}), all in {job.path / BAD_BATCH_FILE}. "
            "Lower train.learning_rate or look at these pairs; the last checkpoint is untouched."
        ) from error


def _finish(job: Job, loop: Loop[Batch], adapter: Adapter, *, resumed: int, emit: Emit) -> None:
    loop.settle()
    path = job.path / ADAPTER_FILE
    adapter.save(path)
    first, last = ends(loop.losses)
    result = Result(sha256=file_sha256(path), step=loop.step, loss_first=first, loss_last=last, resumed_from_step=resumed)
    write_text(job.path / RESULT_FILE, result.model_dump_json())
    drop_data(job)
    emit("done", **result.model_dump())
