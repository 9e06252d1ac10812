"""Where the parts of a network are while it restores: the memory modes `full`, `offload` and `low`.

Modes, their needs and which of them fits: `models.footprint`. How weights come and go: `models.streamed`. On the
processor nothing is gained, but the same moves are made and noted, so that the accounting can be checked anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from models.bundle import FrozenParts
from models.footprint import MODES, ON_GPU, ON_PROCESSOR, Estimate, Memory, estimate, fitting, streamed
from models.lucidflux import Adapter
from models.quantised import Weights, quantise
from models.streamed import Ledger, Stream, Unit, tensor_bytes

__all__ = ["MODES", "Estimate", "Memory", "Placement", "Weights", "estimate", "fitting", "place"]

NETWORK = "network"
"""Backbone and adapter, which work together; the other parts keep their names."""


class Placement:
    """Moves parts to the device while they work, and notes every move."""

    def __init__(self, mode: Memory, device: torch.device) -> None:
        self.mode, self.device, self.ledger = mode, device, Ledger()
        self.change = 0.0
        """Relative change of the quantised weights; 0 where nothing was quantised."""
        self.units: dict[str, Unit] = {}
        self.stream: Stream | None = None
        self.active: list[str] = []

    @contextmanager
    def using(self, part: str) -> Iterator[None]:
        """Keep a part on the device, and all others away; they may take turns inside one another.

        The part is left there at the end, because the next tile may need it: it goes when another one comes.
        """
        self._bring(part)
        self.active.append(part)
        try:
            yield
        finally:
            self.active.pop()
            if self.active:
                self._bring(self.active[-1])

    def park(self) -> None:
        """Send everything away that the mode does not keep."""
        if self.mode != "full":
            self._bring("")

    def text(self) -> str:
        """One line: mode, most bytes of weights on the device so far, what the mode changes."""
        said = f"{self.mode}: at most {self.ledger.peak / 2**20:.1f} MiB of weights at once on {self.device}"
        if self.mode == "low":
            return f"{said}; quantisation changed the blocks' weights by {100 * self.change:.2g} %, so results differ from 'full'"
        return f"{said}; results as in 'full'"

    def _bring(self, part: str) -> None:
        if self.mode == "full":
            return
        for name, unit in self.units.items():
            if name != part:
                unit.park()
        if self.stream is not None and part != NETWORK:
            self.stream.flush()
        if part in self.units:
            self.units[part].load()


def place(
    frozen: FrozenParts, adapter: Adapter | None, mode: Memory, device: torch.device | str, *, weights: Weights | None = None
) -> Placement:
    """Put a network where the mode wants it, in the released precision, and tell it to move its parts from now on.

    On a GPU backbone, adapter and encoder become bfloat16 (released); light restorer and autoencoder stay float32.

    Args:
        frozen: freshly loaded, on the processor unless the mode is `full`.
        adapter: likewise; None for the bare backbone.
        mode: see `models.footprint.Memory`.
        device: where to compute.
        weights: kind of the quantised ones in the mode `low`; None: 4 bits on a GPU, 8 on the processor.

    Raises:
        ValueError: unknown mode, or parts that were placed before.
    """
    if mode not in MODES:
        raise ValueError(f"Unknown memory mode {mode!r}; choose one of {', '.join(MODES)}.")
    if frozen.placement is not None:
        raise ValueError(f"These parts were placed before, in mode {frozen.placement.mode!r}; load the bundle again.")
    placement = Placement(mode, torch.device(device))
    network: dict[str, nn.Module] = {"backbone": frozen.backbone}
    if adapter is not None:
        network["adapter"] = adapter
    elif frozen.connector is not None:
        network["connector"] = frozen.connector
    others = {"prior": frozen.prior, "autoencoder": frozen.autoencoder, "encoder": frozen.encoder}
    if placement.device.type == "cuda":
        for module in (*network.values(), frozen.encoder):
            module.to(torch.bfloat16)
    if mode == "low":
        usual = ON_GPU if placement.device.type == "cuda" else ON_PROCESSOR
        placement.change = quantise(network, weights or usual.weights, placement.device)
    _register(placement, network, {**others, "prompt": frozen.prompt})
    frozen.placement = placement
    return placement


def _register(placement: Placement, network: Mapping[str, nn.Module], others: Mapping[str, nn.Module]) -> None:
    """Make the units of every part, or bring everything where the mode keeps everything."""
    device, ledger = placement.device, placement.ledger
    if placement.mode == "full":
        for part, module in {**network, **others}.items():
            module.to(device)
            ledger.add(NETWORK if part in network else part, sum(map(tensor_bytes, (*module.parameters(), *module.buffers()))))
        return
    placement.units = {part: Unit(part, module.modules(), device, ledger) for part, module in others.items()}
    placement.units.pop("prompt").load()  # its few tokens stay
    resident: list[nn.Module] = []
    single: list[tuple[nn.Module, Unit]] = []
    for whole in network.values():
        for name, module in whole.named_modules():
            own = [*module._parameters.values(), *module._buffers.values()]
            if any(tensor is not None for tensor in own) and streamed(f"{name}.", placement.mode):
                single.append((module, Unit(NETWORK, [module], device, ledger)))
            else:
                resident.append(module)
    placement.units[NETWORK] = Unit(NETWORK, resident, device, ledger)
    placement.stream = Stream(single, device)
