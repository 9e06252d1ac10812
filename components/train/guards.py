"""Proof that a run trained what it should and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor, nn

from components.errors import TrainError

SETTLED_STEPS = 10
"""Updates after which every part must have moved; zero layers let gradients through one after the other."""
NO_MOMENT = 1e-20
"""Second moment up to which there was no gradient; Adafactor adds 1e-30 to every square."""


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


def without_gradient(optimizer: Mapping[str, Tensor]) -> set[str]:
    """Parameters that never saw a gradient, by the second moments in the optimiser's state (`<key>/<parameter>`).

    Movement alone does not prove training: flat partitions let weight decay move what has no gradient.
    """
    largest: dict[str, float] = {}
    for path, value in optimizer.items():
        key, _, name = path.partition("/")
        if key.startswith("exp_avg_sq"):
            largest[name] = max(largest.get(name, 0.0), float(value.max()))
    return {name for name, moment in largest.items() if moment <= NO_MOMENT}


def require_moved(before: Mapping[str, str], after: Mapping[str, str], idle: Collection[str], *, steps: int) -> list[str]:
    """Refuse a run in which a part stood still.

    Args:
        before: tensor hashes at step 0; the first component of a name is its part.
        after: likewise, at the end.
        idle: tensors that no gradient reached.
        steps: updates in between.

    Returns:
        names of tensors that were not trained although their part was. Those of the text stream behind a branch's last
        attention are among them: they feed nothing.

    Raises:
        TrainError: nothing moved, or after SETTLED_STEPS a whole part did not.
    """
    still = [name for name in before if before[name] == after[name] or name in idle]
    parts = {name.split(".")[0] for name in before}
    moved = {name.split(".")[0] for name in before.keys() - set(still)}
    if not moved or (steps >= SETTLED_STEPS and moved != parts):
        raise TrainError(
            f"Expected every trained part to change in {steps} steps, {', '.join(sorted(parts - moved))} did not. "
            "Is the learning rate too small? No adapter was written."
        )
    return still
