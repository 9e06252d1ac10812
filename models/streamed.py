"""Weights that live in the processor's memory and come to the device for as long as something reads them.

diffusers' group offloading does the same for networks that are called as a whole: it learns the order of the layers from
the root module's forward. `models.exact` calls the layers of the blocks one by one and some of them once per schedule
only, so here the order is learnt from the layers themselves and may change at any time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

WINDOW = 3
"""Streamed modules that are on the device at once: the one that computes, the one before it, whose results the device may
still be working on, and the one that is on its way."""


def tensor_bytes(tensor: Tensor) -> int:
    """Bytes that a tensor's values take."""
    return tensor.numel() * tensor.element_size()


class Ledger:
    """Bytes of weights on the device, part by part."""

    def __init__(self) -> None:
        self.resident: dict[str, int] = {}
        self.peaks: dict[str, int] = {}
        """Most bytes in all that were ever there while weights of this part were moved in."""

    @property
    def total(self) -> int:
        """Bytes there now."""
        return sum(self.resident.values())

    @property
    def peak(self) -> int:
        """Most bytes that were ever there."""
        return max(self.peaks.values(), default=0)

    def add(self, part: str, size: int) -> None:
        """Note that weights of a part came (positive) or left (negative)."""
        self.resident[part] = self.resident.get(part, 0) + size
        if size > 0:
            self.peaks[part] = max(self.peaks.get(part, 0), self.total)


class Unit:
    """Tensors that come and leave together."""

    def __init__(self, part: str, modules: Iterable[nn.Module], device: torch.device, ledger: Ledger) -> None:
        """Keep the tensors where they are.

        Args:
            part: name in the ledger.
            modules: whose own parameters and buffers to move, without those of their children.
            device: where they are needed.
            ledger: where to note it.
        """
        self.part, self.device, self.ledger, self.here = part, device, ledger, False
        slots: list[dict[str, Any]] = [group for module in modules for group in (module._parameters, module._buffers)]
        self.homes = [(slot, name, home(slot[name], device)) for slot in slots for name in slot if slot[name] is not None]
        self.bytes = sum(tensor_bytes(tensor) for _, _, tensor in self.homes)
        self.arrived: Any = None
        self.used: Any = None
        self._fill(parked)

    def load(self, stream: Any = None) -> None:
        """Bring the tensors to the device; on a stream of its own without waiting for them."""
        if self.here:
            return
        try:
            with torch.cuda.stream(stream):
                self._fill(lambda tensor: tensor.to(self.device, non_blocking=stream is not None))
                self.arrived = None if stream is None else stream.record_event()
        except RuntimeError:  # the device is full
            self._fill(parked)
            raise
        self.here = True
        self.ledger.add(self.part, self.bytes)

    def park(self) -> None:
        """Leave the device; what is kept in the processor's memory never changes, so nothing is copied back."""
        if not self.here:
            return
        if self.used is not None:
            self.used.synchronize()
        self._fill(parked)
        self.here, self.arrived, self.used = False, None, None
        self.ledger.add(self.part, -self.bytes)

    def _fill(self, place: Any) -> None:
        for slot, name, tensor in self.homes:
            value = place(tensor.detach())
            slot[name] = nn.Parameter(value, requires_grad=False) if isinstance(tensor, nn.Parameter) else value


def home(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor in the processor's memory; page-locked for a GPU, so that copies run beside the computation."""
    if device.type != "cuda":
        return tensor
    locked = tensor.detach().cpu().pin_memory()
    return nn.Parameter(locked, requires_grad=False) if isinstance(tensor, nn.Parameter) else locked


def parked(tensor: Tensor) -> Tensor:
    """What stands in a module while its weights are away: their home, which a GPU refuses to compute with."""
    return tensor


class Stream:
    """Units of single modules, brought one after the other as the modules are called."""

    def __init__(self, units: Sequence[tuple[nn.Module, Unit]], device: torch.device) -> None:
        self.units = dict(units)
        self.side: Any = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self.following: dict[Unit, Unit] = {}
        self.before: Unit | None = None
        self.ahead: Unit | None = None
        self.leaving: deque[Unit] = deque()
        for module in self.units:
            module.register_forward_pre_hook(self._enter)
            module.register_forward_hook(self._leave, always_call=True)

    @property
    def window(self) -> int:
        """Most bytes of weights on the device at once."""
        return sum(sorted(unit.bytes for unit in self.units.values())[-WINDOW:])

    def flush(self) -> None:
        """Send everything away."""
        for unit in self.units.values():
            unit.park()
        self.leaving.clear()
        self.before = self.ahead = None

    def _enter(self, module: nn.Module, _: Any) -> None:
        unit = self.units[module]
        if self.ahead not in {None, unit}:
            assert self.ahead is not None
            self.ahead.park()
        if self.before is not None:
            self.following[self.before] = unit
        if unit in self.leaving:
            self.leaving.remove(unit)
        while len(self.leaving) > WINDOW - 2:
            self.leaving.popleft().park()
        unit.load(self.side)
        if unit.arrived is not None:
            torch.cuda.current_stream(unit.device).wait_event(unit.arrived)
        self.before, self.ahead = unit, self.following.get(unit)
        if self.ahead in self.leaving or self.ahead is unit:
            self.ahead = None
        if self.ahead is not None:
            self.ahead.load(self.side)

    def _leave(self, module: nn.Module, *_: Any) -> None:
        unit = self.units[module]
        if self.side is not None:
            unit.used = torch.cuda.current_stream(unit.device).record_event()
        self.leaving.append(unit)
