"""Reading and writing weight files of any size without holding them in memory.

Files are mapped, so what is read stays in the page cache; what is written goes out tensor by tensor.
"""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

DTYPES: Mapping[torch.dtype, str] = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Names of element types in a safetensors header."""
CHECKED_VALUES = 1 << 24
"""Values that are looked at together for not being finite."""


@dataclass(frozen=True)
class Entry:
    """One tensor to write, made when its turn comes."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    make: Callable[[], Tensor]


def entry(name: str, tensor: Tensor) -> Entry:
    """A tensor as it is."""
    return Entry(name, tuple(tensor.shape), tensor.dtype, lambda: tensor)


def read(path: Path) -> dict[str, Tensor]:
    """Map the tensors of a checkpoint; nested dictionaries are joined by dots.

    Args:
        path: safetensors, or a torch file of tensors in dictionaries. A torch file is loaded with `weights_only`, so
            that one which carries code is refused.

    Raises:
        ValueError: no such file, a cut or foreign one, or one that carries code or other things than tensors.
    """
    if not path.is_file():
        raise ValueError(f"Expected a weight file at {path}, found none. Give the path of a checkpoint.")
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, "pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} is no readable safetensors file ({error}). Fetch it again.") from error
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} carries more than tensors ({str(error).splitlines()[0]}). Only files of tensors are loaded; "
            "ask its author for safetensors."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise ValueError(f"{path} is no readable torch file ({str(error).splitlines()[0]}). Fetch it again.") from error
    return dict(_flat(path, loaded, ""))


def _flat(path: Path, value: Any, name: str) -> Iterable[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value.detach()
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(path, inner, f"{name}.{key}" if name else str(key))
    else:
        raise ValueError(f"{path}: expected tensors in dictionaries, got {type(value).__name__} at '{name}'.")


def write(path: Path, entries: Sequence[Entry], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file in the order of its entries; it appears whole or not at all.

    Raises:
        ValueError: a tensor is not finite, or not what its entry promised.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    start = 0
    for item in entries:
        end = start + torch.Size(item.shape).numel() * item.dtype.itemsize
        header[item.name] = {"dtype": DTYPES[item.dtype], "shape": list(item.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    try:
        with temporary.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for item in entries:
                _append(file, item, path)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _append(file: BinaryIO, item: Entry, path: Path) -> None:
    tensor = item.make().contiguous()
    if tuple(tensor.shape) != item.shape or tensor.dtype != item.dtype:
        raise ValueError(f"{path}: {item.name} is {list(tensor.shape)} {tensor.dtype}, expected {item.shape} {item.dtype}.")
    require_finite(tensor, item.name)
    file.write(tensor.reshape(-1).view(torch.uint8).numpy().data)


def require_finite(tensor: Tensor, name: str) -> None:
    """Refuse numbers that are not finite, looking at a part at a time.

    Raises:
        ValueError: names the tensor.
    """
    if tensor.is_floating_point() and tensor.dtype.itemsize > 1:
        for part in torch.split(tensor.reshape(-1), CHECKED_VALUES):
            if not torch.isfinite(part).all():
                raise ValueError(f"{name} holds numbers that are not finite. Fetch the file again, or train it again.")


def write_nested(path: Path, entries: Sequence[Entry], nest: Callable[[dict[str, Tensor]], Any]) -> None:
    """Write a torch file; tensors wait in mapped files of their own until all are there.

    Args:
        path: file to write.
        entries: its tensors.
        nest: makes the object to be saved out of them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    waiting = [path.with_name(f"{path.name}.partial-{index}") for index in range(len(entries))]
    try:
        tensors: dict[str, Tensor] = {}
        for item, place in zip(entries, waiting, strict=True):
            with place.open("wb") as file:
                _append(file, item, path)
            size = torch.Size(item.shape).numel()
            mapped = torch.from_file(str(place), shared=False, size=size, dtype=item.dtype) if size else item.make()
            tensors[item.name] = mapped.reshape(item.shape)
        torch.save(nest(tensors), temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        for place in (temporary, *waiting):
            place.unlink(missing_ok=True)
