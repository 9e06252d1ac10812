"""Where a run goes on: the newest whole checkpoint of any machine's disk or of the object store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from torch import Tensor

from components.backends.storage import open_storage
from components.errors import StorageError
from components.train import checkpoint
from components.train.checkpoint import GROUPS, State, name_of
from components.train.copies import Copies
from components.train.job import CHECKPOINTS, Job
from components.train.place import Place

Refused = Callable[[str, str], None]
"""Called with (checkpoint, why it cannot be used)."""


def resume(job: Job, place: Place, refused: Refused) -> State | None:
    """Find the state from which every process goes on, the same one on all; a collective call.

    The first process of each machine looks on its disk, the first of all in the store as well.

    Args:
        job: the run.
        place: this process.
        refused: told about each checkpoint that is passed over.

    Raises:
        StorageError: the store does not answer, and this machine has no checkpoint of its own.
        TrainError: the disk does not take a checkpoint of the store.
    """
    state = None
    if place.local_rank == 0:
        in_store = place.first and job.settings.checkpoint_store
        copies = Copies(open_storage(job.objects), job.identity) if in_store else None
        state = newest(job.path / CHECKPOINTS, job.identity, refused, copies)
    return _shared(state, place) if place.processes > 1 else state


def newest(folder: Path, identity: str, refused: Refused, copies: Copies | None = None) -> State | None:
    """Read the newest checkpoint that is whole and belongs to this run.

    Args:
        folder: where the local ones lie; one of the store is brought there.
        identity: of the run.
        refused: told about each one that is passed over.
        copies: those of the store, if it is asked.

    Raises:
        StorageError: the store does not answer, and there is no local one.
        TrainError: the disk does not take a checkpoint of the store.
    """
    local = checkpoint.steps_in(folder)
    stored = _stored(copies, refused, needed=not local)
    away: StorageError | None = None
    for step in sorted({*local, *stored}, reverse=True):
        for place in (local, stored):
            if step not in place:
                continue
            try:
                path = local[step] if place is local else stored[step].bring(step, folder)
                return checkpoint.read(path, identity)
            except (OSError, ValueError, SafetensorError, StorageError) as error:
                away = error if isinstance(error, StorageError) else away
                refused(name_of(step) if place is local else f"{name_of(step)} of the store", str(error))
    if away:
        raise away
    return None


def _stored(copies: Copies | None, refused: Refused, *, needed: bool) -> dict[int, Copies]:
    """Step -> where its copy comes from."""
    if copies is None:
        return {}
    try:
        return dict.fromkeys(copies.steps(), copies)
    except StorageError as error:
        if needed:
            raise
        refused("of the store", str(error))
        return {}


def _shared(state: State | None, place: Place) -> State | None:
    """Give every process the newest of the states that were found."""
    steps: list[Any] = [0] * place.processes
    dist.all_gather_object(steps, state.step if state else 0)
    if not any(steps):
        return None
    holder = steps.index(max(steps))
    outline: list[Any] = [None, None, None]
    if state is not None and place.rank == holder:
        outline = [state.step, state.losses, {group: _outline(getattr(state, group)) for group in GROUPS}]
    dist.broadcast_object_list(outline, src=holder)
    step, losses, groups = outline
    made: dict[str, dict[str, Tensor]] = {group: {} for group in GROUPS}
    for group, tensors in groups.items():
        for name, (shape, dtype) in tensors.items():
            own = getattr(state, group)[name] if place.rank == holder else torch.empty(shape, dtype=dtype)
            sent = own.to(place.device)
            dist.broadcast(sent, src=holder)
            made[group][name] = sent.cpu()
    return State(step=step, losses=losses, **made)


def _outline(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
