"""GPUs are taken one holder at a time: Prefect's global concurrency limit `gpu`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

GPU = "gpu"
LEASE_SECONDS = 60
"""A holder that is killed is forgotten after this; Prefect accepts no less."""


def on_gpu() -> bool:
    """Whether this process computes on a GPU and there is a server that hands them out."""
    import torch

    return torch.cuda.is_available() and bool(os.environ.get("PREFECT_API_URL"))


@contextmanager
def gpu_slot(*, needed: bool | None = None) -> Iterator[None]:
    """Hold a GPU while the block runs, after waiting for one; a server without that limit lets everybody pass.

    Args:
        needed: None asks `on_gpu`.
    """
    if not (on_gpu() if needed is None else needed):
        yield
        return
    from prefect.concurrency.sync import concurrency

    with concurrency(GPU, occupy=1, lease_duration=LEASE_SECONDS):
        yield
