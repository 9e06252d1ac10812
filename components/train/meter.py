"""What the forward passes of one update say, over all processes: loss by flow time, loss by term, memory.

Sums are kept on the device and leave it once per update.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from components.train.objective import VELOCITY
from components.train.place import Place

BINS = 10
"""Equal parts of the flow time; the first is nearly data, the last nearly noise."""
GIB = 2**30


@dataclass
class Meter:
    """One process' sums since `take` was called last."""

    place: Place
    sums: dict[str, Tensor] = field(default_factory=dict)
    """Term -> (BINS,) sums of its errors, and `count`; float64."""

    def add(self, t_B: Tensor, errors: Mapping[str, Tensor]) -> None:
        """See components.train.objective.Listener."""
        bin_B = (t_B * BINS).long().clamp(0, BINS - 1)
        for name, value_B in {"count": torch.ones_like(t_B), **errors}.items():
            if name not in self.sums:
                self.sums[name] = torch.zeros(BINS, dtype=torch.float64, device=t_B.device)
            self.sums[name].scatter_add_(0, bin_B, value_B.double())

    def take(self) -> dict[str, Any]:
        """Means over the samples of all processes, and the largest memory of any; starts anew. A collective call.

        Returns:
            loss_by_time: BINS means of the velocity's error, None without a sample; count_by_time: samples;
            loss_<term> where there is more than one term; memory_gib and gpu_memory_gib: peaks since the start.
        """
        names = sorted(self.sums)
        sums = torch.stack([*(self.sums[name] for name in names)])
        memory = torch.zeros(self.place.processes, 2, dtype=torch.float64, device=sums.device)
        memory[self.place.rank] = torch.tensor(peak_memory(), dtype=torch.float64)
        if self.place.processes > 1:
            dist.all_reduce(sums)
            dist.all_reduce(memory)
        self.sums = {}
        by_name = dict(zip(names, sums.tolist(), strict=True))
        process_gib, gpu_gib = memory.amax(0).tolist()
        return {**means(by_name), "memory_gib": process_gib, **({"gpu_memory_gib": gpu_gib} if gpu_gib else {})}


def means(sums: Mapping[str, list[float]]) -> dict[str, Any]:
    """Sums by flow time as the figures that `Meter.take` describes."""
    counts = sums["count"]
    terms = [name for name in sums if name != "count"]
    by_time = [total / count if count else None for total, count in zip(sums[VELOCITY], counts, strict=True)]
    figures: dict[str, Any] = {"loss_by_time": by_time, "count_by_time": [int(count) for count in counts]}
    if len(terms) > 1:
        figures |= {f"loss_{name}": sum(sums[name]) / sum(counts) for name in terms}
    return figures


def peak_memory() -> tuple[float, float]:
    """Most GiB that this process ever held in memory and on its GPU; the second is 0 without one."""
    process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
    return process, torch.cuda.max_memory_allocated() / GIB if torch.cuda.is_available() else 0.0
