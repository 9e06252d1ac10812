"""What a weight file holds, found without building a network: keys, shapes, numbers that are not finite, code.

A safetensors file is read by its header and scanned in pieces; a torch file is mapped, never executed. A TorchScript archive
can only be read by its own interpreter, so it is read where its pin fixes its hash, and refused elsewhere.
"""

from __future__ import annotations

import json
import math
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from components.backends.pins import Pin
from components.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

TORCH_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin")
SUFFIXES = (".safetensors", ".npz", *TORCH_SUFFIXES)
WRAPPERS = ("state_dict", "params_ema", "params")
"""Outer keys under which public checkpoints keep their tensors."""
PIECE_VALUES = 1 << 18
"""Values looked at together; half a MiB stays in the processor's cache, which is seven times as fast as 8 MiB."""
HEADER_BYTES = 100_000_000
"""Longest header that the format allows."""

_FLOATS: Mapping[str, tuple[str, int]] = {
    "F64": ("<u8", 0x7FF0_0000_0000_0000),
    "F32": ("<u4", 0x7F80_0000),
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
    "F8_E5M2": ("<u1", 0x7C),
    "F8_E4M3": ("<u1", 0x7F),
}
"""Format -> how its values are read as integers, and the bits that are all set in what is not finite."""


_BYTES: Mapping[str, int] = {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1} | {
    name: np.dtype(kind).itemsize for name, (kind, _) in _FLOATS.items()
}


class Entry(NamedTuple):
    """One tensor of a safetensors file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    """First byte, from the beginning of the file."""
    size: int
    """Bytes."""


def check(paths: Sequence[Path], name: str, pins: Mapping[str, Pin]) -> None:
    """Prove that files are what their pin says: the right checkpoint, whole, finite, and free of code.

    Args:
        paths: every file of the set; those that are neither weights nor JSON are left alone.
        name: the set.
        pins: the table; tells what a wrong checkpoint is instead.

    Raises:
        WeightsError: names the file and the reason.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    weights = [path for path in paths if path.suffix in SUFFIXES]
    pinned = all(file.sha256 for file in pins[name].files)
    for path in weights:
        shapes |= _shapes(path, pinned=pinned)
    _recognise(shapes, weights, name, pins)
    for path in paths:
        if path.suffix == ".json":
            _json(path)


def header(path: Path) -> dict[str, Entry]:
    """Read the header of a safetensors file.

    Raises:
        WeightsError: it is cut or no such file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        text = file.read(length) if 0 < length <= min(HEADER_BYTES, size - 8) else b""
    try:
        listed = json.loads(text)
        entries = {key: _entry(8 + length, value) for key, value in listed.items() if key != "__metadata__"}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{size} bytes, {error}"
        raise WeightsError(f"{path} is no safetensors file, or cut in its header ({reason}). Fetch it again.") from error
    end = max((entry.start + entry.size for entry in entries.values()), default=8 + length)
    if size != end:
        raise WeightsError(f"{path} is cut or has a tail: its header tells of {end} bytes, it has {size}. Fetch it again.")
    return entries


def _entry(data: int, value: Mapping[str, Any]) -> Entry:
    begin, end = value["data_offsets"]
    entry = Entry(value["dtype"], tuple(value["shape"]), data + begin, end - begin)
    wrong = entry.dtype in _BYTES and entry.size != math.prod(entry.shape) * _BYTES[entry.dtype]
    if wrong or not 0 <= begin <= end:
        raise ValueError(f"offsets {begin} to {end} do not fit {entry.dtype} {list(entry.shape)}")
    return entry


def _shapes(path: Path, *, pinned: bool) -> dict[str, tuple[int, ...]]:
    """Key -> shape of every tensor, each looked at for numbers that are not finite."""
    if path.suffix == ".safetensors":
        entries = header(path)
        for key, entry in entries.items():
            if not _finite(path, entry):
                raise _not_finite(path, key)
        return {key: entry.shape for key, entry in entries.items()}
    tensors = dict(_flat(_load(path, pinned=pinned)))
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not all(bool(piece.isfinite().all()) for piece in _pieces(tensor)):
            raise _not_finite(path, key)
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}


def _finite(path: Path, entry: Entry) -> bool:
    if entry.dtype not in _FLOATS or not entry.size:
        return True
    kind, mask = _FLOATS[entry.dtype]
    count = entry.size // np.dtype(kind).itemsize
    values = np.memmap(path, dtype=kind, mode="r", offset=entry.start, shape=(count,))
    return not any(bool(((values[first : first + PIECE_VALUES] & mask) == mask).any()) for first in range(0, count, PIECE_VALUES))


def _pieces(tensor: Tensor) -> Iterator[Tensor]:
    flat = tensor.reshape(-1)
    yield from (flat[first : first + PIECE_VALUES].float() for first in range(0, flat.numel(), PIECE_VALUES))


def _not_finite(path: Path, key: str) -> WeightsError:
    return WeightsError(f"{path}: '{key}' holds numbers that are not finite. Take another copy; this one is damaged.")


def _load(path: Path, *, pinned: bool) -> object:
    """Read a torch or numpy file; what is more than tensors and plain values is refused, not run."""
    import torch

    try:
        if path.suffix == ".npz":
            return _arrays(path)
        if pinned and _is_script(path):
            return torch.jit.load(str(path), map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a damaged pickle fails in many ways
        found = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, UnpicklingError) else None
        if found:
            raise WeightsError(
                f"{path} holds code or objects beside tensors (it asks for '{found[1]}'); nothing of it was run. "
                "Save its tensors as safetensors where you trust it."
            ) from error
        size = path.stat().st_size
        raise WeightsError(f"{path} is no readable torch file of tensors, or cut ({size} bytes). Fetch it again.") from error


def _arrays(path: Path) -> dict[str, Tensor]:
    import torch

    with np.load(path, allow_pickle=False) as arrays:
        return {key: torch.from_numpy(value) for key, value in arrays.items() if value.dtype.kind in "fiu"}


def _is_script(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _flat(tree: object, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Tensors of nested dictionaries under dotted keys, a bare one under ""; wrappers that say nothing are taken off."""
    import torch

    if isinstance(tree, torch.Tensor):
        yield "", tree
    if not isinstance(tree, Mapping):
        return
    inner = next((tree[name] for name in WRAPPERS if not prefix and isinstance(tree.get(name), Mapping)), tree)
    for key, value in inner.items():
        dotted = f"{prefix}{key}".removeprefix("module.")
        if isinstance(value, torch.Tensor):
            yield dotted, value
        else:
            yield from _flat(value, f"{dotted}.")


def _recognise(shapes: Mapping[str, tuple[int, ...]], paths: Sequence[Path], name: str, pins: Mapping[str, Pin]) -> None:
    """Compare keys and shapes with what the pin says; tell which pin they would fit."""
    where, holds = ", ".join(str(path) for path in paths), pins[name].holds
    lacking = sorted(holds.keys() - shapes.keys())
    if lacking:
        other = [known for known, pin in pins.items() if pin.holds and pin.holds.keys() <= shapes.keys()]
        found = f"a '{other[0]}' checkpoint" if other else f"another ({', '.join(sorted(shapes)[:3]) or 'no tensor'})"
        raise WeightsError(
            f"{where}: expected a '{name}' checkpoint with {lacking[0]}, found {found}. Give the file of '{name}'."
        )
    for key, shape in holds.items():
        if shapes[key] != shape:
            raise WeightsError(
                f"{where}: {key} is {list(shapes[key])} ({math.prod(shapes[key])} values), expected {list(shape)}; "
                f"it belongs to a network of other sizes than the released '{name}'."
            )


def _json(path: Path) -> None:
    try:
        json.loads(path.read_bytes())
    except ValueError as error:
        raise WeightsError(f"{path} is no JSON ({error}). Fetch it again.") from error
