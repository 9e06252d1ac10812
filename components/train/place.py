"""Where a training process stands among the others, and on which device."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist

from components.train.order import Spread
from components.train.settings import TrainSettings


@dataclass(frozen=True)
class Place:
    """One process."""

    rank: int
    processes: int
    device: torch.device

    @property
    def first(self) -> bool:
        """This process writes what is written once."""
        return self.rank == 0

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
    if not torch.cuda.is_available():
        return Place(rank, processes, torch.device("cpu"))
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return Place(rank, processes, device)
