"""A whole training run as one process sees it: parts, batches, loop, guards, result."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError

from components.backends.storage import file_sha256
from components.errors import TrainError
from components.records import canonical_json
from components.train import best, guards
from components.train.batches import Batch, Batches
from components.train.checkpoint import State
from components.train.engine import BadLoss, Engine, PlainEngine
from components.train.estimate import count_flops
from components.train.events import Emit
from components.train.job import ADAPTER_FILE, BAD_BATCH_FILE, RESULT_FILE, Job, Result, write_text
from components.train.judge import History, notes_of
from components.train.loop import Loop, ends
from components.train.meter import Meter
from components.train.objective import Objective
from components.train.place import Place, meet
from components.train.reporter import Reporter
from components.train.resume import resume
from components.train.source import drop_data, open_batches
from components.train.validation import Validator
from components.train.writer import CheckpointWriter
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
    place, report = meet(job.settings), Reporter(emit, job.settings)
    place.require_same(job)
    report("phase", phase="frozen parts", done=0, total=1)
    with report.phase("frozen parts"):
        frozen = load_frozen(Path(job.base), place.device)
        before = guards.frozen_hash(frozen.modules())
        torch.manual_seed(job.settings.seed)
        network = _network(job, frozen)
        adapter = Adapter.from_backbone(network, frozen, silent=job.settings.zero_control_start).train()
        start = guards.tensor_hashes(adapter.named_parameters())
        state = _resume(job, adapter, place, report)
    done = state.step if state else 0
    with report.phase("features"):
        batches = open_batches(job, frozen, place, done=done, emit=report)
    with report.phase("start"):
        validator = Validator(job, frozen, network, place=place, done=done, emit=report)
        loop = _loop(job, Objective(adapter, frozen, job.settings, Meter(place)), batches, place=place, state=state, emit=report)
        loop.between = validator
    _advance(job, loop, place)
    guards.require_frozen(before, guards.frozen_hash(frozen.modules()))
    _require_training(loop, start, report)
    if place.first:
        report.account()
        _choose(job, loop, validator.history)
    place.spread_weights(loop.weights.values())
    if place.local_rank == 0:
        _finish(job, loop, adapter, validator.history, resumed=done, emit=report)
    place.barrier()


def _network(job: Job, frozen: FrozenParts) -> NetworkConfig:
    """The bundle's sizes with the job's kind of conditioner."""
    chosen = {name: getattr(job.settings, name) for name in ("variant", "branches", "modulation", "semantic")}
    return frozen.config.model_copy(update={"conditioner": frozen.config.conditioner.model_copy(update=chosen)})


def _require_training(loop: Loop[Batch], start: dict[str, str], emit: Emit) -> None:
    idle = {name.removeprefix("adapter.") for name in guards.without_gradient(loop.engine.optimizer_state())}
    still = guards.require_moved(start, guards.tensor_hashes(loop.weights.items()), idle, steps=loop.step)
    emit("note", text=f"{len(start) - len(still)} of {len(start)} trained tensors learned, no frozen one changed", still=still)


def _resume(job: Job, adapter: Adapter, place: Place, emit: Emit) -> State | None:
    def refused(name: str, why: str) -> None:
        emit("note", text=f"the checkpoint {name} is passed over: {why}")

    state = resume(job, place, refused)
    if state is None:
        return None
    with torch.no_grad():
        for name, weight in adapter.named_parameters():
            weight.copy_(state.weights[name])
    emit("note", text=f"going on from step {state.step}", step=state.step)
    return state


def _loop(job: Job, objective: Objective, batches: Batches, *, place: Place, state: State | None, emit: Reporter) -> Loop[Batch]:
    step = state.step if state else 0
    spread, device = place.spread(job.settings), place.device
    emit.begin(step)
    if place.first and step < job.settings.steps:
        first = spread.micro_batches(step)[0]
        if state is None:
            size = objective.control_size(batches.make(first))
            emit("note", text=f"control at step 0 changes the velocity by {size['control_share']:.2%}", **size)
        # one pair is enough to count and needs less memory than an update
        emit.flops = count_flops(objective, batches.make(first[:1])) * len(first)
        emit("note", text=_arithmetic(job, emit.flops), flops_per_update=emit.flops * job.settings.accumulation * place.processes)
    engine = _engine(job, objective)
    if state is not None:
        engine.load_optimizer_state(state.optimizer)
    return Loop(
        engine=engine,
        weights=dict(objective.adapter.named_parameters()),
        settings=job.settings,
        spread=spread,
        make=batches.make,
        emit=emit,
        watch=objective.listener.take if objective.listener else dict,
        step=step,
        losses=state.losses if state else [],
        average={name: mean.to(device) for name, mean in state.average.items()} if state and place.first else {},
    )


def _arithmetic(job: Job, flops: int) -> str:
    each = flops / job.settings.micro_batch_size / 1e12
    return f"{each:.4g} TFLOP per pair, forward and backward, without the frozen parts before the network and the optimiser"


def _engine(job: Job, objective: Objective) -> Engine[Batch]:
    if job.settings.engine == "plain":
        return PlainEngine(objective, job.settings)
    from components.train.zero import ZeroEngine

    return ZeroEngine(objective, job.settings)


def _advance(job: Job, loop: Loop[Batch], place: Place) -> None:
    writer = CheckpointWriter(job, loop.emit)

    def save(state: State) -> None:
        if place.first:
            writer.save(state)

    try:
        with writer:
            loop.run(save, writer.check)
    except BadLoss as error:
        bad = {"step": loop.step, "pairs": list(error.pairs), "reason": str(error)}
        write_text(job.path / BAD_BATCH_FILE, canonical_json(bad))
        shown = ", ".join(pair[:12] for pair in error.pairs[:SHOWN_IDS])
        raise TrainError(
            f"{error} at step {loop.step + 1} for {len(error.pairs)} pairs ({shown}), all in {job.path / BAD_BATCH_FILE}. "
            "Lower train.learning_rate or look at these pairs; the last checkpoint is untouched."
        ) from error


def _choose(job: Job, loop: Loop[Batch], history: History) -> None:
    """Put the weights that the run gives out in their place, on the first process."""
    if job.settings.keep_best and history.best is not None:
        best.take(job.path, history.best.step, loop.weights)
    else:
        loop.settle()


def _finish(job: Job, loop: Loop[Batch], adapter: Adapter, history: History, *, resumed: int, emit: Emit) -> None:
    path = job.path / ADAPTER_FILE
    try:
        adapter.save(path)
    except (OSError, SafetensorError) as error:
        raise TrainError(f"Cannot write {path}: {error}. Free space; the same command goes on from the last step.") from error
    first, last = ends(loop.losses)
    result = Result(
        sha256=file_sha256(path),
        step=loop.step,
        loss_first=first,
        loss_last=last,
        resumed_from_step=resumed,
        notes=notes_of(history, job.settings, ended_at=loop.step),
    )
    write_text(job.path / RESULT_FILE, result.model_dump_json())
    best.drop_all(job.path)
    drop_data(job)
    emit("done", **result.model_dump())
