"""DeepSpeed ZeRO-2: gradients and optimiser partitioned over the processes; the one home of deepspeed.

On processors gloo carries everything: DeepSpeed's own shared-memory operator, which it would compile for 40 s at the
first start, is switched off, so that no compiler is needed.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Generic

import torch
import torch.distributed as dist
from torch import Tensor, nn

from components.train.engine import BadLoss, BatchT, Update, build_optimizer, checked_loss, restore_number, set_rate
from components.train.settings import TrainSettings

CONFIG = Path(__file__).resolve().parents[2] / "infra" / "deepspeed" / "zero2.json"
MAX_BUCKET = 200_000_000
"""Numbers per message between processes; 0.8 GB in float32."""


def filled_config(settings: TrainSettings, weights: int) -> dict[str, Any]:
    """infra/deepspeed/zero2.json with its `auto` values taken from the settings.

    Args:
        settings: of the run.
        weights: trained numbers; a bucket is never larger, as DeepSpeed allocates it whole.
    """
    config: dict[str, Any] = json.loads(CONFIG.read_text(encoding="utf-8"))
    config["train_micro_batch_size_per_gpu"] = settings.micro_batch_size
    config["gradient_accumulation_steps"] = settings.accumulation
    config["gradient_clipping"] = settings.gradient_clip
    bucket = min(MAX_BUCKET, weights)
    # one process sends nothing, so that gathering gradients into one piece is only a copy
    config["zero_optimization"] |= {
        "allgather_bucket_size": bucket,
        "reduce_bucket_size": bucket,
        "contiguous_gradients": settings.processes > 1,
    }
    return config


def import_deepspeed() -> Any:
    """Import it for this machine's device, without what it does not need here."""
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    # its autotuner imports mlflow when there is one: 2 to 5 s for nothing
    with _absent("mlflow"):
        import deepspeed
        import deepspeed.ops

    # an operator that is in no table is not built; torch's gloo does the same work
    deepspeed.ops.__compatible_ops__ = {}
    return deepspeed


@contextlib.contextmanager
def _absent(package: str) -> Iterator[None]:
    """Let a package that nobody has imported yet look as if it were not installed."""
    modules: dict[str, Any] = sys.modules
    hidden = package not in modules
    if hidden:
        modules[package] = None
    try:
        yield
    finally:
        if hidden:
            del modules[package]


def start_processes() -> tuple[int, int]:
    """Meet the other processes, as torchrun's environment describes them.

    Returns:
        (rank, number of processes).
    """
    deepspeed = import_deepspeed()
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    deepspeed.init_distributed(dist_backend=backend, auto_mpi_discovery=False, verbose=False)
    return dist.get_rank(), dist.get_world_size()


class ZeroEngine(Generic[BatchT]):
    """ZeRO stage 2 over all processes; see components.train.engine.Engine."""

    def __init__(self, objective: nn.Module, settings: TrainSettings) -> None:
        """Partition every parameter of `objective`, which maps a batch to losses (B,); processes must have met."""
        self.settings = settings
        self.named = dict(objective.named_parameters())
        weights = sum(parameter.numel() for parameter in self.named.values())
        self.engine, self.zero, _, _ = import_deepspeed().initialize(
            model=objective,
            optimizer=build_optimizer(settings, self.named.values()),
            config=filled_config(settings, weights),
        )

    def update(self, batches: Iterable[BatchT], rate: float) -> Update:
        """See Engine."""
        set_rate(self.zero.optimizer, rate)
        losses: list[Tensor] = []
        pairs: tuple[str, ...] = ()
        for batch in batches:
            loss = checked_loss(self.engine(batch), batch)
            # DeepSpeed divides by the accumulation itself
            self.engine.backward(loss)
            self.engine.step()
            losses.append(loss.detach())
            pairs += batch.pairs
        norm = float(self.engine.get_global_grad_norm())
        if not math.isfinite(norm):
            raise BadLoss("The gradient is not finite", pairs)
        mean = torch.stack(losses).mean()
        dist.all_reduce(mean)
        return Update(float(mean) / dist.get_world_size(), norm)

    def optimizer_state(self) -> dict[str, Tensor]:
        """See Engine; every process adds its fragments, so the same sum is on all."""
        state: dict[str, Tensor] = {}
        for name, parameter in self.named.items():
            flat = self.zero.single_partition_of_fp32_groups[self._group(parameter)]
            for key, value in self.zero.optimizer.state.get(flat, {}).items():
                if not _partitioned(value, flat):
                    # the counter is shared by all; a copy, so that a file holds each
                    state[f"{key}/{name}"] = torch.as_tensor(value).detach().cpu().clone()
                    continue
                full = torch.zeros(parameter.numel(), device=value.device)
                for in_parameter, in_flat in self._fragments(parameter):
                    full[in_parameter] = value[in_flat]
                dist.all_reduce(full)
                state[f"{key}/{name}"] = full.view(parameter.shape).cpu()
        return state

    def load_optimizer_state(self, state: dict[str, Tensor]) -> None:
        """See Engine; every process takes its fragments."""
        for path, value in state.items():
            key, _, name = path.partition("/")
            parameter = self.named[name]
            flat = self.zero.single_partition_of_fp32_groups[self._group(parameter)]
            own = self.zero.optimizer.state[flat]
            if value.dim() == 0:
                own[key] = restore_number(self.settings, value)
                continue
            if key not in own:
                own[key] = torch.zeros_like(flat)
            source = value.to(flat.device).flatten()
            for in_parameter, in_flat in self._fragments(parameter):
                own[key][in_flat] = source[in_parameter]

    def _group(self, parameter: nn.Parameter) -> int:
        for index, group in enumerate(self.zero.bit16_groups):
            if any(parameter is member for member in group):
                return index
        raise AssertionError("a parameter that is in no group of the optimiser")

    @staticmethod
    def _fragments(parameter: Any) -> list[tuple[slice, slice]]:
        """Where this process' part of a parameter is: in the parameter, and in its partition."""
        mapping = parameter._hp_mapping
        if mapping is None:
            return []
        low, high = mapping.lp_fragment_address, mapping.hp_fragment_address
        return [(slice(low.start, low.start + low.numel), slice(high.start, high.start + high.numel))]


def _partitioned(value: Any, flat: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == flat.shape and value.dim() > 0
