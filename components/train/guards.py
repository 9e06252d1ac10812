"""Proof that a run trained what it should and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from components.errors import TrainError

SETTLED_STEPS = 10
"""Updates after which every part must have moved; zero layers let gradients through one after the other."""


def tensor_hashes(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, str]:
    """Name -> hash of the bytes."""
    return {name: hashlib.sha256(_bytes(tensor)).hexdigest() for name, tensor in tensors}


def frozen_hash(modules: Mapping[str, nn.Module]) -> str:
    """One hash over all parameters and buffers of some modules."""
    digest = hashlib.sha256()
    for part, module in modules.items():
        for name, tensor in module.state_dict().items():
            digest.update(f"{part}.{name}".encode())
            digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def require_frozen(before: str, after: str) -> None:
    """Refuse a run in which a frozen weight changed.

    Raises:
        TrainError: it did.
    """
    if before != after:
        raise TrainError(
            "A frozen weight changed during training: the adapter would not fit the bundle that it is shipped with. "
            "This is a defect of the program; no adapter was written."
        )


def require_moved(before: Mapping[str, str], after: Mapping[str, str], *, steps: int) -> list[str]:
    """Refuse a run in which a part stood still.

    Args:
        before: tensor hashes at step 0; the first component of a name is its part.
        after: likewise, at the end.
        steps: updates in between.

    Returns:
        names of tensors that did not move although their part did. Those of the text stream behind a branch's last
        attention are among them: they feed nothing.

    Raises:
        TrainError: nothing moved, or after SETTLED_STEPS a whole part did not.
    """
    still = [name for name in before if before[name] == after[name]]
    parts = {name.split(".")[0] for name in before}
    moved = {name.split(".")[0] for name in before if before[name] != after[name]}
    if not moved or (steps >= SETTLED_STEPS and moved != parts):
        raise TrainError(
            f"Expected every trained part to change in {steps} steps, {', '.join(sorted(parts - moved))} did not. "
            "Is the learning rate too small? No adapter was written."
        )
    return still
