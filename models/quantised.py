"""Weights of the blocks in 8 or 4 bits by torchao; computed in the element type of the tokens (mode `low`).

This loses precision: `quantise` says how much of the weights, a comparison of pictures how much of the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Weights = Literal["int8", "int4"]
"""`int8`: one scale per output value; `int4`: one scale and zero per output value and GROUP inputs, on a GPU only."""
GROUP = 128
"""Inputs that share a scale in `int4` (torchao's default)."""
LANES = 1024
"""Widths that `int4` takes without padding: torch's int4 kernel works on so many inputs at once."""


def chosen(name: str, shape: tuple[int, ...], weights: Weights) -> bool:
    """Whether a tensor of the backbone or the adapter is quantised: the products of the blocks over tokens.

    Embeddings and the last projection are small and decide much; the linears of adaptive norms (which diffusers calls
    `linear`) are read once per schedule.
    """
    fits = len(shape) == 2 and (weights == "int8" or shape[1] % LANES == 0)
    return fits and "blocks." in name and name.endswith(".weight") and not is_modulation(name)


def is_modulation(name: str) -> bool:
    """Whether a tensor belongs to what makes scales, shifts and gates: read in no step of the mode `exact`."""
    return name.rpartition(".")[0].endswith(".linear") or name.startswith("modulation_") or "time_text_embed." in name


def quantised_bytes(shape: tuple[int, ...], weights: Weights) -> int:
    """Bytes of a quantised weight: `int8` with a float32 scale and an int8 zero, `int4` with both in bfloat16."""
    rows, columns = shape
    return rows * columns + 5 * rows if weights == "int8" else rows * columns // 2 + 4 * rows * columns // GROUP


@torch.no_grad()
def quantise(modules: Mapping[str, nn.Module], weights: Weights, device: torch.device) -> float:
    """Quantise what is `chosen` in each module, one layer after the other; the results are left on the processor.

    Returns:
        Relative change of the weights: root of the summed squares of the changes over that of the weights.

    Raises:
        ValueError: torchao is not installed, or the device has no kernel for these weights.
    """
    config, apply = _torchao(weights, device)
    changed = total = 0.0
    for module in modules.values():
        for layer in chosen_layers(module, weights):
            layer.to(device)
            before = layer.weight.detach()
            apply(layer, config)
            changed += sum(float(part.square().sum()) for part in _changes(layer.weight, before))
            total += float(before.float().square().sum())
            for name, tensor in list(layer.named_parameters()):
                setattr(layer, name, nn.Parameter(tensor.detach().cpu(), requires_grad=False))
    return math.sqrt(changed / total) if total else 0.0


def chosen_layers(module: nn.Module, weights: Weights) -> Iterator[nn.Linear]:
    """Layers of a module whose weight is `chosen`."""
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Linear) and chosen(f"{name}.weight", tuple(layer.weight.shape), weights):
            yield layer


def _changes(quantised: Tensor, before: Tensor) -> Iterator[Tensor]:
    """What was added to the weights of some inputs at a time: products with unit vectors, less the weights before."""
    units = torch.eye(before.shape[1], dtype=before.dtype, device=before.device)
    for some, columns in zip(torch.split(units, LANES), torch.split(before, LANES, dim=1), strict=True):
        yield F.linear(some, quantised).float() - columns.float().T


def _torchao(weights: Weights, device: torch.device) -> tuple[Any, Any]:
    """The config of torchao, and what applies it to one layer."""
    try:
        from torchao.quantization import (  # type: ignore[import-not-found, unused-ignore]
            Int4WeightOnlyConfig,
            Int8WeightOnlyConfig,
            quantize_,
        )
    except ImportError as error:
        raise ValueError(
            "Memory mode 'low' keeps weights in 8 or 4 bits by torchao, which is not installed; "
            "install lucidflux[low], or choose mode 'offload', which needs no more memory and loses nothing."
        ) from error
    if weights == "int8":
        return Int8WeightOnlyConfig(set_inductor_config=False), quantize_
    if device.type != "cuda":
        raise ValueError(f"4-bit weights have a kernel on CUDA devices only, got device '{device}'; choose int8.")
    return (
        Int4WeightOnlyConfig(group_size=GROUP, int4_packing_format="tile_packed_to_4d", set_inductor_config=False),
        quantize_,
    )
