"""Where a training process stands among the others, and on which device."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from components.errors import TrainError
from components.records import content_hash
from components.train.job import Job
from components.train.order import Spread
from components.train.settings import TrainSettings


@dataclass(frozen=True)
class Place:
    """One process."""

    rank: int
    processes: int
    device: torch.device
    local_rank: int = 0
    """Among the processes of this machine."""
    local_processes: int = 1

    @property
    def first(self) -> bool:
        """This process writes what is written once."""
        return self.rank == 0

    @property
    def nodes(self) -> int:
        """Machines."""
        return self.processes // self.local_processes

    def require_same(self, job: Job) -> None:
        """Refuse machines that were given different jobs; a collective call.

        Raises:
            TrainError: they were.
        """
        if self.processes == 1:
            return
        found: list[Any] = [""] * self.processes
        dist.all_gather_object(found, content_hash(job.identity, job.settings))
        if len(set(found)) > 1:
            raise TrainError(
                "Expected the same training job on every machine, they have different pairs, settings or frozen parts. "
                "Give each the same profile, manifest, object store and bundle."
            )

    @torch.no_grad()
    def spread_weights(self, weights: Iterable[Tensor]) -> None:
        """Give each machine the first process' weights, of which it alone has the averaged ones; a collective call."""
        for weight in weights if self.nodes > 1 else ():
            dist.broadcast(weight.detach(), src=0)

    def barrier(self) -> None:
        """Wait for the other processes."""
        if self.processes > 1:
            dist.barrier()

    def spread(self, settings: TrainSettings) -> Spread:
        """Which samples this process takes."""
        return Spread(settings.micro_batch_size, settings.accumulation, self.processes, self.rank)


def meet(settings: TrainSettings) -> Place:
    """Meet the other processes and take a device."""
    if settings.engine == "plain":
        rank, processes = 0, 1
    else:
        from components.train.zero import start_processes

        rank, processes = start_processes()
    local_rank, local_processes = (
        int(os.environ.get(name, default)) if processes > 1 else int(default)
        for name, default in (("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "1"))
    )
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    return Place(rank, processes, device, local_rank, local_processes)
